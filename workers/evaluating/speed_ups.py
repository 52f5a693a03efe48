"""Is a cached run as much faster as it should be? Measured side by side in one run."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

import torch

from schedules.rules import all_compute, spread
from workers.costing import denoise_costs
from workers.sampler import Frame, Prompt, denoise, initial_latents
from workers.shapes import random_conditioning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schedules.cost import StageCosts
    from schedules.schedule import Schedule
    from workers.pipeline import Model

FRACTIONS = (0.75, 0.5, 0.35)


@dataclass(frozen=True, slots=True)
class SpeedUp:
    """One cached schedule against the uncached run: ideal by unit costs, and measured.

    `lowest` and `highest` are the spread of measured ÷ ideal over the pairs of runs.
    """

    compute_fraction: float
    ideal: float
    measured: float
    lowest: float
    highest: float

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
    """
    bench = _Denoising(model, size)
    progress("unit costs", 0, 1)
    costs = bench.costs(steps)
    progress("unit costs", 1, 1)
    found = []
    for fraction in fractions:
        schedule = spread(steps, model.units.graph, fraction)
        pairs = []
        for done in range(1, repeats + 1):
            pairs.append((bench.ms(all_compute(steps, model.units.graph)), bench.ms(schedule)))
            progress(f"fraction {fraction:g}", done, repeats)
        found.append(_speed_up(schedule, costs, pairs))
    return found


class _Denoising:
    """The denoising loop alone, on random conditioning: speed does not depend on what is said."""

    def __init__(self, model: Model, size: int) -> None:
        self._model, self._size = model, size
        self._conditioning = random_conditioning(model)
        frame = self._frame(all_compute(1, model.units.graph))
        self._latents = initial_latents(model, [Prompt("", None, 0)], frame)

    def _frame(self, schedule: Schedule) -> Frame:
        return Frame(self._size, self._size, 3.0, "dpmpp_2m", schedule)

    def costs(self, steps: int) -> StageCosts:
        """Return unit costs, measured for about as long as three uncached runs take."""
        schedule = all_compute(steps, self._model.units.graph)
        self.ms(all_compute(1, self._model.units.graph))
        seconds = 3 * self.ms(schedule) / 1e3
        frame = self._frame(schedule)
        return denoise_costs(self._model, self._conditioning, self._latents, frame, seconds)

    @torch.inference_mode()
    def ms(self, schedule: Schedule) -> float:
        """Return how long one run takes."""
        start = time.perf_counter()
        latents, _ = denoise(self._model, self._conditioning, self._latents, self._frame(schedule))
        latents.cpu()
        return (time.perf_counter() - start) * 1e3


def _speed_up(
    schedule: Schedule, costs: StageCosts, pairs: Sequence[tuple[float, float]]
) -> SpeedUp:
    steps, runs = schedule.steps, schedule.unit_runs
    full = costs.denoise_ms(steps, (steps,) * schedule.units)
    ideal = full / costs.denoise_ms(steps, runs)
    ratios = [uncached / cached for uncached, cached in pairs]
    return SpeedUp(
        compute_fraction=costs.compute_fraction(steps, runs),
        ideal=ideal,
        measured=median(ratios),
        lowest=min(ratios) / ideal,
        highest=max(ratios) / ideal,
    )
