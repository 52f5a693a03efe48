"""Methods in turn on the same pictures, one at a time, so that a drifting machine meets all alike.

A few rounds come first: they warm up, find out which peers do not work on this model, and how many
uncached steps take as long as each method. Then every picture is made by every method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median, median_high
from typing import TYPE_CHECKING

import numpy as np
import torch

from schedules.rules import all_compute
from workers.evaluating.methods import Method, take
from workers.images import to_pixels
from workers.sampler import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from workers.evaluating.methods import Subject, Take
    from workers.pipeline import Model

    Progress = Callable[[str, int, int], None]

ROUNDS = 5
UNCACHED = "uncached"
FEWER = "fewer steps"
# What medians of interleaved runs of the same work differ by.
TIE = 1.01


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a method did: milliseconds of each picture's denoising loop, and the pictures."""

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


def compare(
    model: Model,
    methods: Sequence[Method],
    subjects: Sequence[Subject],
    progress: Progress,
    rounds: int = ROUNDS,
) -> Comparison:
    """Make every picture by every method and by uncached runs that are as quick as each.

    The first method is the uncached run.
    """
    able, notes = usable(model, methods, subjects[0])
    cached = [method for method in able[1:] if method.group != UNCACHED]
    scouted: list[list[Take]] = []
    for done in range(rounds):
        subject = subjects[done % len(subjects)]
        scouted.append([take(model, method, subject) for method in (able[0], *cached)])
        progress("timing", done + 1, rounds)
    counts = equal_counts(scouted)
    everyone = [*able, *(fewer_steps(model, able[0], count) for count in counts)]
    return Comparison(run(model, everyone, subjects, progress), notes)


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


def equal_counts(scouted: Sequence[Sequence[Take]]) -> list[int]:
    """Return how many uncached steps take no longer than each method, and one less, ascending.

    `scouted` holds rounds of takes, the uncached one first. Counts of 0 and of all steps are left
    out. One step less is there for when more pictures show that the other takes longer.
    """
    uncached, *others = zip(*scouted, strict=True)
    counts = {
        median_high(
            _steps_within(whole, one.ms) for whole, one in zip(uncached, takes, strict=True)
        )
        for takes in others
    }
    counts |= {count - 1 for count in counts}
    return sorted(counts - {-1, 0, len(uncached[0].elapsed_ms)})


def _steps_within(uncached: Take, ms: float) -> int:
    return sum(elapsed <= ms * TIE for elapsed in uncached.elapsed_ms)


def fewer_steps(model: Model, uncached: Method, steps: int) -> Method:
    """Return an uncached method of fewer steps."""
    share = steps / uncached.frame.schedule.steps
    frame = replace(uncached.frame, schedule=all_compute(steps, model.units.graph))
    return Method(f"{steps} steps", FEWER, frame, compute_fraction=share)


def run(
    model: Model, methods: Sequence[Method], subjects: Sequence[Subject], progress: Progress
) -> tuple[Outcome, ...]:
    """Make every picture by every method."""
    made: list[list[_Made]] = []
    for done, subject in enumerate(subjects, start=1):
        made.append([_made(model, method, subject) for method in methods])
        progress("pictures", done, len(subjects))
    columns = zip(methods, zip(*made, strict=True), strict=True)
    return tuple(
        Outcome(method, tuple(one.ms for one in column), np.stack([one.pixels for one in column]))
        for method, column in columns
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    ms: float
    pixels: NDArray[np.uint8]


@torch.inference_mode()
def _made(model: Model, method: Method, subject: Subject) -> _Made:
    taken = take(model, method, subject)
    return _Made(taken.ms, to_pixels(decode(model, taken.latents))[0])
