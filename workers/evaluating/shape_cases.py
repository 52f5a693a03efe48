"""What a comparison on random weights measures, in which order, and for how long."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from workers.errors import ModelError
from workers.evaluating.errors import EvaluationError
from workers.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Case:
    """Pictures of a shape's own size, `batch` at once, in so many steps."""

    shape: str
    steps: int
    batch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapesOptions:
    """What `evaluate shapes` is asked for; `limit_s` None: as long as it takes."""

    out: Path
    shapes: tuple[str, ...] = ("sd15", "sdxl")
    steps: tuple[int, ...] = (20, 50)
    batches: tuple[int, ...] = (1, 4)
    repeats: int = 3
    limit_s: float | None = None
    replay: bool = True

    def require(self) -> None:
        """Refuse what cannot be run; raises ModelError or EvaluationError."""
        for shape in self.shapes:
            if shape not in SHAPES:
                raise ModelError(f"no shape is called {shape!r}; there are {', '.join(SHAPES)}")
        counts = (*self.steps, *self.batches)
        if not (self.shapes and self.steps and self.batches) or min(counts) < 1:
            raise EvaluationError("name shapes, and step counts and batches of 1 or more")

    @property
    def cases(self) -> tuple[Case, ...]:
        """All cases, those first that take least and tell most."""
        ordered = product(sorted(self.steps), sorted(self.batches), self.shapes)
        return tuple(Case(shape, steps, batch) for steps, batch, shape in ordered)

    def rounds(self, case: Case) -> int:
        """Return how often a case is measured: the longer it is, the less often."""
        return max(1, self.repeats * min(self.steps) // case.steps)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**asdict(self), "out": str(self.out)}


class Allowance:
    """Seconds that may be spent from now on; None: any."""

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end_s = None if seconds is None else clock() + seconds

    def holds(self, expected_s: float = 0.0) -> bool:
        """Return whether something that takes so long would end in time."""
        return self._end_s is None or self._clock() + expected_s < self._end_s
