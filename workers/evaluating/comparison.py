"""Methods in turn on the same pictures, one at a time, so that a drifting machine meets all alike.

A few rounds come first (`scouting`): they warm up, find out which peers do not work on this model,
and how many uncached steps take as long as each method. Then every picture is made by every method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import torch

from schedules.rules import all_compute
from workers.calibration_parts import keep_nothing
from workers.evaluating.methods import Method, take
from workers.evaluating.parts import Made, pictures
from workers.evaluating.untimed import already_made, made_apart
from workers.images import to_pixels
from workers.sampler import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from workers.calibration_parts import Keep
    from workers.evaluating.methods import Subject
    from workers.pipeline import Model

    Progress = Callable[[str, int, int], None]

ROUNDS = 3
UNCACHED = "uncached"
FEWER = "fewer steps"
# What medians of interleaved runs of the same work differ by.
TIE = 1.01


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a method did: milliseconds of each timed picture's denoising loop, and all pictures."""

    method: Method
    ms: tuple[float, ...]
    pictures: NDArray[np.uint8]

    def times_as_long(self, other: Outcome) -> float:
        """Return the median over pictures of how many times as long as another this one took.

        Both made a picture within moments, so that a drifting machine does not count.
        """
        return median(a / b for a, b in zip(self.ms, other.ms, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Outcomes in the order of their methods, the uncached run first, and what was left out."""

    outcomes: tuple[Outcome, ...]
    notes: tuple[str, ...] = ()

    @property
    def uncached(self) -> Outcome:
        """The run that others are faster than."""
        return self.outcomes[0]

    def fewer(self) -> list[Outcome]:
        """Return the uncached runs of fewer steps, fewest first."""
        shorter = (one for one in self.outcomes if one.method.group == FEWER)
        return sorted(shorter, key=lambda one: one.method.frame.schedule.steps)

    def as_quick(self, outcome: Outcome) -> Outcome | None:
        """Return the longest uncached run that took no longer than this method, if there is one.

        None too for what runs uncached itself.
        """
        if outcome.method.group in (UNCACHED, FEWER):
            return None
        longest_first = [self.uncached, *reversed(self.fewer())]
        return next((one for one in longest_first if one.times_as_long(outcome) <= TIE), None)

    def shown(self) -> list[Outcome]:
        """Return all methods, then of the runs of fewer steps those that are as quick as one."""
        methods = [one for one in self.outcomes if one.method.group != FEWER]
        chosen = [self.as_quick(one) for one in methods]
        return [*methods, *(one for one in self.fewer() if any(one is c for c in chosen))]


def usable(
    model: Model, methods: Sequence[Method], subject: Subject
) -> tuple[list[Method], tuple[str, ...]]:
    """Try every method once; return those that work, and why peers do not."""
    able, notes = [], []
    for method in methods:
        try:
            take(model, method, subject)
        except Exception as error:  # other people's code may fail in any way
            if method.enable is None:
                raise
            notes.append(f"{method.name} does not run on this model: {error!r}")
        else:
            able.append(method)
    return able, tuple(notes)


def fewer_steps(model: Model, uncached: Method, steps: int) -> Method:
    """Return an uncached method of fewer steps."""
    share = steps / uncached.frame.schedule.steps
    frame = replace(uncached.frame, schedule=all_compute(steps, model.units.graph))
    return Method(f"{steps} steps", FEWER, frame, compute_fraction=share)


def run(
    model: Model,
    methods: Sequence[Method],
    subjects: Sequence[Subject],
    progress: Progress,
    keep: Keep = keep_nothing,
    of: str = "pictures",
    timed: int | None = None,
) -> tuple[Outcome, ...]:
    """Make every picture by every method; `keep` may have some of what they are called `of`.

    Only the first `timed` are timed, while nothing else runs; None: all.
    """
    timed = len(subjects) if timed is None else min(timed, len(subjects))
    made: list[Made] = []
    for one in _made(model, methods, subjects, keep, of, timed):
        made.append(one)
        progress("pictures", len(made), len(subjects))
    return tuple(
        Outcome(
            method,
            tuple(float(one.ms[place]) for one in made[:timed]),
            np.stack([one.pixels[place] for one in made]),
        )
        for place, method in enumerate(methods)
    )


def _made(
    model: Model,
    methods: Sequence[Method],
    subjects: Sequence[Subject],
    keep: Keep,
    of: str,
    timed: int,
) -> Iterator[Made]:
    make = partial(_by_all, model, methods)
    parts = [(subject, pictures(of, number)) for number, subject in enumerate(subjects, start=1)]
    missing = [subject for subject, part in parts[timed:] if already_made(keep, part) is None]
    apart = made_apart(make, missing, model.device)
    for place, (subject, part) in enumerate(parts):
        yield keep(part, partial(make, subject) if place < timed else partial(next, apart))


@torch.inference_mode()
def _by_all(model: Model, methods: Sequence[Method], subject: Subject) -> Made:
    takes = [take(model, method, subject) for method in methods]
    pixels = [to_pixels(decode(model, taken.latents))[0] for taken in takes]
    return Made(np.array([taken.ms for taken in takes]), np.stack(pixels))
