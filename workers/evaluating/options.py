"""What an evaluation is asked for, and the pictures that follow from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.calibrating import prompts_from
from workers.evaluating.errors import EvaluationError
from workers.evaluating.lineup import LineupSettings
from workers.evaluating.scores import pictures_in
from workers.evaluating.session import Setting
from workers.sampler import Prompt
from workers.solvers import solver

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from workers.pipeline import Model

HELD_OUT = Path(__file__).parents[1] / "held_out_prompts.txt"
# Calibration and training take seeds from 0 up; these pictures start from noise of their own.
FIRST_SEED = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What every evaluation is asked for on the command line."""

    model: str
    out: Path
    size: tuple[int, int] | None = None
    guidance_scale: float = 3.0
    prompts: Path | None = None
    most_prompts: int | None = None
    seeds: int = 1
    timed: int = 24
    plans: Path | None = None

    def setting(self, model: Model) -> Setting:
        """Return the pictures to draw; raises EvaluationError for prompts calibration has seen."""
        texts = held_out_prompts(self.prompts)[: self.most_prompts]
        requests = tuple(
            Prompt(text, None, FIRST_SEED + number)
            for number, text in enumerate(texts * self.seeds)
        )
        size = self.size or (model.native_size,) * 2
        return Setting(*size, self.guidance_scale, requests, self.timed)

    def require(self, model: Model) -> None:
        """Refuse what cannot be run now rather than in an hour."""

    def pictures(self, setting: Setting) -> NDArray[np.uint8] | None:  # noqa: ARG002 - by some
        """Return real pictures to compare with, if there are any."""
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierOptions(Options):
    """How far a frontier goes beside: to the uncached run of so many steps."""

    most_steps: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOptions(Options):
    """What a table is asked for beside."""

    solvers: tuple[str, ...] = ("ddim", "dpmpp_2m")
    steps: tuple[int, ...] = (20, 50)
    calibration_pictures: int = 16
    speed_ups: tuple[float, ...] = ()
    delta: float = 0.5
    train_minutes: float = 0.0
    data: Path | None = None
    rounds: int = 3

    def require(self, model: Model) -> None:
        """Refuse what cannot be run now rather than in an hour.

        Raises UnknownSolver, or EvaluationError for step counts that are none.
        """
        for name in self.solvers:
            solver(name, model.pipe.scheduler.config)
        if not self.solvers or min(self.steps, default=0) < 2:
            raise EvaluationError("a table needs a solver, and step counts of 2 or more")

    @property
    def runs(self) -> list[tuple[str, int]]:
        """All pairs of solver and step count."""
        return list(product(self.solvers, self.steps))

    def pictures(self, setting: Setting) -> NDArray[np.uint8] | None:
        """Return those of the folder of data."""
        return None if self.data is None else pictures_in(self.data, setting.width, setting.height)

    @property
    def lineup(self) -> LineupSettings:
        """How methods are made."""
        texts = prompts_from(None)
        calibration = tuple(
            Prompt(texts[i % len(texts)], None, i // len(texts))
            for i in range(self.calibration_pictures)
        )
        return LineupSettings(calibration, self.delta, self.speed_ups, self.train_minutes)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOptions(TableOptions):
    """What table, frontier and speed-ups together are asked for."""

    most_steps: int = 20


def held_out_prompts(path: Path | None) -> tuple[str, ...]:
    """Return the prompts of a file, or those that come with the program.

    Raises EvaluationError when calibration has seen one.
    """
    texts = prompts_from(path or HELD_OUT)
    if seen := set(texts) & set(prompts_from(None)):
        raise EvaluationError(f"calibration has seen these prompts: {', '.join(sorted(seen))}")
    return texts
