"""Which methods meet for one solver and step count: the paper's, those here, and peers.

Schedules and corrections are made from calibration pictures, none of which is shown to them again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from schedules.rules import accumulate, deepcache
from schedules.schedule import Schedule
from workers.evaluating.aiming import aimed
from workers.evaluating.methods import Method
from workers.evaluating.peers import PEERS
from workers.fitting import fit
from workers.influence import InfluenceSettings, measure_influence
from workers.profiling import ChangeMeter
from workers.sampler import denoise, encode, initial_latents
from workers.training import Training, TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from schedules.change import ChangeProfile
    from schedules.cost import StageCosts
    from schedules.units import UnitGraph
    from workers.correction import Correction
    from workers.pipeline import Model
    from workers.sampler import Frame, Prompt

    Progress = Callable[[str, int, int], None]

BATCH = 8
MANY_STEPS = 30
SPEED_UPS = {"few": 1.5, "many": 1.8}


@dataclass(frozen=True, slots=True)
class LineupSettings:
    """How methods are made. `delta` is the paper's threshold; no `speed_ups`: by step count.

    Trained corrections are trained for `training_minutes` each, and left out when that is 0.
    """

    calibration: tuple[Prompt, ...]
    delta: float = 0.5
    speed_ups: tuple[float, ...] = ()
    training_minutes: float = 0.0
    influence: InfluenceSettings = field(default_factory=InfluenceSettings)

    def targets(self, steps: int) -> tuple[float, ...]:
        """Return how many times faster than uncached the searched schedules are to be."""
        return self.speed_ups or (SPEED_UPS["many" if steps > MANY_STEPS else "few"],)


class Lineup:
    """Makes the methods of one solver and step count; `frame` is the uncached run's."""

    def __init__(
        self,
        model: Model,
        frame: Frame,
        costs: StageCosts,
        settings: LineupSettings,
        progress: Progress,
    ) -> None:
        self._model, self._frame, self._costs = model, frame, costs
        self._settings, self._progress = settings, progress

    @property
    def _graph(self) -> UnitGraph:
        return self._model.units.graph

    def methods(self, ours: Sequence[Method] | None = None) -> list[Method]:
        """Return all methods, the uncached run first.

        `ours` are taken instead of schedules searched anew.
        """
        whole = whole_blocks(self._frame.schedule.steps, self._graph)
        return [
            self.own("uncached", "uncached", self._frame.schedule),
            *self._paper(),
            *(self._searched() if ours is None else ours),
            self.own("whole blocks, N = 2", "whole blocks", whole),
            *self._peers(),
        ]

    def own(
        self, name: str, group: str, schedule: Schedule, correction: Correction | None = None
    ) -> Method:
        """Return a method that follows a schedule."""
        frame = replace(self._frame, schedule=schedule, correction=correction)
        fraction = self._costs.compute_fraction(schedule.steps, schedule.unit_runs)
        return Method(name, group, frame, compute_fraction=fraction)

    def _paper(self) -> Iterator[Method]:
        """Give the paper's rule, alone, with its scale-shift in closed form, and trained."""
        schedule = accumulate(self._profile(), self._graph, self._settings.delta)
        name = f"paper, δ = {self._settings.delta:g}"
        yield self.own(name, "paper", schedule)
        if not schedule.reuses(self._graph):
            return
        yield self.own(f"{name}, closed form", "paper", schedule, self._fitted(schedule, "paper"))
        if self._settings.training_minutes:
            yield self.own(f"{name}, trained", "paper", schedule, self._trained(schedule))

    @torch.inference_mode()
    def _profile(self) -> ChangeProfile:
        meter, model = ChangeMeter(self._graph, self._frame.schedule.steps), self._model
        pictures = self._settings.calibration
        for start in range(0, len(pictures), BATCH):
            batch = pictures[start : start + BATCH]
            noise = initial_latents(model, batch, self._frame)
            denoise(model, encode(model, batch, self._frame), noise, self._frame, meter.on_step)
            self._progress("change profile", start + len(batch), len(pictures))
        return meter.profile()

    def _fitted(self, schedule: Schedule, what: str, *, two_tap: bool = False) -> Correction:
        def tell(_stage: str, done: int, total: int) -> None:
            self._progress(f"correction: {what}", done, total)

        frame = replace(self._frame, schedule=schedule)
        pictures = self._settings.calibration
        return fit(self._model, frame, pictures, two_tap=two_tap, batch=BATCH, progress=tell)

    def _trained(self, schedule: Schedule) -> Correction:
        texts = [prompt.text for prompt in self._settings.calibration]
        frame = replace(self._frame, schedule=schedule)
        training = Training(self._model, frame, texts, TrainingSettings())
        seconds = self._settings.training_minutes * 60
        start = time.perf_counter()
        while (spent := time.perf_counter() - start) < seconds:
            self._progress("training", int(spent), int(seconds))
            training.run(1)
        self._progress("training", int(seconds), int(seconds))
        return training.correction

    def _searched(self) -> Iterator[Method]:
        """Give schedules of least expected error, alone and with two-tap corrections."""
        influence = measure_influence(
            self._model,
            self._settings.calibration,
            self._frame,
            self._settings.influence,
            lambda done, total: self._progress("influence", done, total),
        )
        for goal in self._settings.targets(self._frame.schedule.steps):
            schedule = aimed(influence, self._graph, self._costs, goal)
            correction = self._two_tap(schedule, goal)
            yield self.own(f"searched, {goal:g}×", "searched", schedule)
            yield self.own(f"two taps, {goal:g}×", "two taps", schedule, correction)

    def _two_tap(self, schedule: Schedule, goal: float) -> Correction | None:
        if not schedule.reuses(self._graph):
            return None
        return self._fitted(schedule, f"two taps, {goal:g}×", two_tap=True)

    def _peers(self) -> Iterator[Method]:
        for peer in PEERS:
            if peer.is_installed:
                fraction = None if peer.interval is None else self._deepcache(peer.interval)
                yield Method(peer.name, peer.group, self._frame, peer.enable, fraction)

    def _deepcache(self, interval: int) -> float:
        steps = self._frame.schedule.steps
        runs = deepcache(steps, self._graph, interval).unit_runs
        return self._costs.compute_fraction(steps, runs)


def whole_blocks(steps: int, graph: UnitGraph) -> Schedule:
    """Compute only the last up block at odd steps, as NVIDIA ModelOpt's cache_diffusion does.

    Its blocks give their last outputs again; here units inside them give their last updates.
    """
    names = [unit.name for unit in graph.units]
    last = max(name.split(".")[1] for name in names if name.startswith("up."))
    computed = f"up.{last}."
    odd = tuple(
        name == "out" or (name.startswith(computed) and name != f"{computed}entry.0")
        for name in names
    )
    rows = [(True,) * len(graph) if step % 2 == 0 else odd for step in range(steps)]
    return Schedule(tuple(rows)).normalised(graph)
