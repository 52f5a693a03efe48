"""Is a cached run as much faster as it should be? Measured side by side in one run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

import torch

from schedules.rules import all_compute, spread
from workers.correction import Origin
from workers.costing import Clock, denoise_costs, marking
from workers.evaluating.verdicts import Verdict
from workers.fixes import identity
from workers.sampler import Frame, Prompt, denoise, initial_latents
from workers.shapes import random_conditioning

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from schedules.cost import StageCosts
    from schedules.schedule import Schedule
    from workers.correction import Correction
    from workers.pipeline import Model

FRACTIONS = (0.75, 0.5, 0.35)
LEAST_EFFICIENCY, LEAST_EFFICIENCY_OF_SHAPES = 0.95, 0.97
MOST_CORRECTION_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class SpeedUp:
    """One cached schedule against the uncached run: ideal by unit costs, and measured.

    `lowest` and `highest` are the spread of measured ÷ ideal over the pairs of runs.
    `correction_share` is what two-tap corrections add to a step that reuses, as a share of an
    uncached step, by the median of each step over all rounds: few whole runs are undisturbed.
    """

    compute_fraction: float
    ideal: float
    measured: float
    lowest: float
    highest: float
    correction_share: float = 0.0

    @property
    def efficiency(self) -> float:
        """Measured speed-up ÷ ideal speed-up."""
        return self.measured / self.ideal

    def to_dict(self) -> dict[str, float]:
        """Return plain data for JSON."""
        return {**asdict(self), "efficiency": self.efficiency}


def speed_ups(
    model: Model,
    size: int,
    steps: int,
    fractions: Sequence[float] = FRACTIONS,
    repeats: int = 7,
    progress: Callable[[str, int, int], None] = lambda _stage, _done, _total: None,
) -> list[SpeedUp]:
    """Measure denoising of one guided picture of size × size pixels at each compute fraction.

    Every pair runs uncached and cached back to back, so that a drifting machine meets both alike.
    With and without corrections take turns in being first.
    """
    bench = _Denoising(model, size)
    progress("unit costs", 0, 1)
    costs = bench.costs(steps)
    progress("unit costs", 1, 1)
    found = []
    for fraction in fractions:
        schedule = spread(steps, model.units.graph, fraction)
        corrected = bench.corrected(schedule)
        rounds = []
        for done in range(1, repeats + 1):
            rounds.append(bench.round(schedule, corrected, corrected_first=done % 2 == 0))
            progress(f"fraction {fraction:g}", done, repeats)
        found.append(_speed_up(schedule, costs, rounds))
    return found


def verdicts(name: str, found: Sequence[SpeedUp], least: float) -> list[Verdict]:
    """Judge speed-ups: how much of the ideal is reached, and what corrections cost."""
    return [verdict for one in found for verdict in _judged(name, one, least)]


def _judged(name: str, one: SpeedUp, least: float) -> tuple[Verdict, Verdict]:
    about, share = f"{name}, {one.compute_fraction:.2f} computed", one.correction_share
    reached, figures = one.efficiency, one.to_dict()
    asked = f"measured ÷ ideal speed-up ≥ {least:g}"
    costs = f"corrections cost ≤ {MOST_CORRECTION_SHARE:.0%} of a step"
    return (
        Verdict(about, asked, f"{reached:.3f}", reached >= least, figures),
        Verdict(about, costs, f"{share:.1%}", share <= MOST_CORRECTION_SHARE, figures),
    )


@dataclass(frozen=True, slots=True)
class Round:
    """Milliseconds of each step of one run each, back to back."""

    uncached: tuple[float, ...]
    cached: tuple[float, ...]
    corrected: tuple[float, ...]

    @property
    def speed_up(self) -> float:
        """How many times faster the cached run was."""
        return sum(self.uncached) / sum(self.cached)


def added_share(rounds: Sequence[Round], reusing: Collection[int]) -> float:
    """Return what corrections add to each of the steps `reusing`, as a share of an uncached step.

    Steps that reuse nothing do the same work either way; the first sets up the run, too.
    """
    if not reusing:
        return 0.0
    added = (
        median(one.corrected[step] - one.cached[step] for one in rounds) for step in {0, *reusing}
    )
    return sum(added) / len(reusing) / median(ms for one in rounds for ms in one.uncached)


class _Denoising:
    """The denoising loop alone, on random conditioning: speed does not depend on what is said."""

    def __init__(self, model: Model, size: int) -> None:
        self._model, self._size = model, size
        self._conditioning = random_conditioning(model)
        frame = self._frame(all_compute(1, model.units.graph))
        self._latents = initial_latents(model, [Prompt("", None, 0)], frame)

    def _frame(self, schedule: Schedule, correction: Correction | None = None) -> Frame:
        return Frame(self._size, self._size, 3.0, "dpmpp_2m", schedule, correction)

    def corrected(self, schedule: Schedule) -> Correction | None:
        """Return a two-tap correction that changes nothing and takes as long as any.

        It lies where the model does, as those of a worker's plans.
        """
        units = self._model.units
        if not schedule.reuses(units.graph):
            return None
        origin = Origin.of(self._model, self._frame(schedule), "two-tap")
        return identity(origin, schedule, units).to(self._model.device, self._model.dtype)

    def round(
        self, schedule: Schedule, correction: Correction | None, *, corrected_first: bool
    ) -> Round:
        """Run uncached, then cached without and with a correction, where there is one."""
        uncached = self.steps_ms(all_compute(schedule.steps, self._model.units.graph))
        order = (correction, None) if corrected_first else (None, correction)
        ms = {one: self.steps_ms(schedule, one) for one in dict.fromkeys(order)}
        return Round(uncached, ms[None], ms[correction])

    def costs(self, steps: int) -> StageCosts:
        """Return unit costs, measured for about as long as three uncached runs take."""
        schedule = all_compute(steps, self._model.units.graph)
        self.steps_ms(all_compute(1, self._model.units.graph))
        seconds = 3 * sum(self.steps_ms(schedule)) / 1e3
        frame = self._frame(schedule)
        return denoise_costs(self._model, self._conditioning, self._latents, frame, seconds)

    @torch.inference_mode()
    def steps_ms(
        self, schedule: Schedule, correction: Correction | None = None
    ) -> tuple[float, ...]:
        """Return how long each step of one run takes; what precedes the first counts as its own."""
        frame, clock = self._frame(schedule, correction), Clock(self._model.device)
        clock.settle()
        marks = [clock.mark()]
        denoise(self._model, self._conditioning, self._latents, frame, marking(marks, clock))
        clock.settle()
        return tuple(clock.ms(start, end) for start, end in pairwise(marks))


def _speed_up(schedule: Schedule, costs: StageCosts, rounds: Sequence[Round]) -> SpeedUp:
    steps, runs = schedule.steps, schedule.unit_runs
    full = costs.denoise_ms(steps, (steps,) * schedule.units)
    ideal = full / costs.denoise_ms(steps, runs)
    ratios = [one.speed_up for one in rounds]
    reusing = [step for step, row in enumerate(schedule.computes) if not all(row)]
    return SpeedUp(
        compute_fraction=costs.compute_fraction(steps, runs),
        ideal=ideal,
        measured=median(ratios),
        lowest=min(ratios) / ideal,
        highest=max(ratios) / ideal,
        correction_share=added_share(rounds, reusing),
    )
