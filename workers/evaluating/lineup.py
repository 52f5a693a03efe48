"""Which methods meet for one solver and step count: the paper's, those here, and peers.

Schedules and corrections are made from calibration pictures, none of which is shown to them again.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from schedules.rules import PAPER_ROLES, RESIDUAL, accumulate, deepcache
from schedules.schedule import Schedule
from workers.calibration_parts import influence, keep_nothing, profile
from workers.evaluating.aiming import (
    BEYOND,
    LARGEST_DELTA,
    Scale,
    aimed,
    further,
    measured_at,
    predicted_speed_up,
    threshold,
)
from workers.evaluating.closest import Closest
from workers.evaluating.comparison import UNCACHED
from workers.evaluating.methods import Method
from workers.evaluating.parts import trained
from workers.evaluating.peers import PEERS
from workers.fitting import fit
from workers.influence import InfluenceSettings, measure_influence
from workers.profiling import ChangeMeter
from workers.sampler import denoise, encode, initial_latents
from workers.training import Training, TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from schedules.change import ChangeProfile
    from schedules.cost import StageCosts
    from schedules.influence import Influence, Influences
    from schedules.units import UnitGraph
    from workers.calibration_parts import Keep
    from workers.correction import Correction
    from workers.pipeline import Model
    from workers.sampler import Frame, Prompt

    Progress = Callable[[str, int, int], None]

BATCH = 8
MANY_STEPS = 30
SPEED_UPS = {"few": 1.5, "many": 1.8}
PAPER, PLAIN, TWO_TAPS = "paper", "searched", "two taps"


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
        return self.speed_ups or (goal(steps),)


def goal(steps: int) -> float:
    """Return how many times faster than uncached a run of so many steps is to be."""
    return SPEED_UPS["many" if steps > MANY_STEPS else "few"]


class Lineup:
    """Makes the methods of one solver and step count; `frame` is the uncached run's.

    `seconds` are the longest that making a schedule or correction of each kind took.
    """

    def __init__(
        self,
        model: Model,
        frame: Frame,
        costs: StageCosts,
        settings: LineupSettings,
        progress: Progress,
        keep: Keep = keep_nothing,
    ) -> None:
        self._model, self._frame, self._costs = model, frame, costs
        self._settings, self._progress, self._keep = settings, progress, keep
        self.seconds: dict[str, float] = {}

    @property
    def _graph(self) -> UnitGraph:
        return self._model.units.graph

    def known(self) -> list[Method]:
        """Return the methods that need no speed-up to aim at, the uncached run first."""
        paper, whole = self._unaimed
        return [
            self.own("uncached", UNCACHED, self._frame.schedule),
            *self._paper(paper, self._settings.delta),
            self.own("whole blocks, N = 2", "whole blocks", whole),
            *self._peers(),
        ]

    def aimed(
        self,
        others: Iterable[float],
        speed_up: Callable[[Method], float],
        ours: Sequence[Method] | None = None,
    ) -> list[Method]:
        """Return the paper's rule and searched schedules at the speed-ups that are asked for.

        And, where none were named, corrected schedules as fast as each of the `others`. `speed_up`
        measures how fast a method is; `ours` are taken instead of schedules searched anew.
        """
        asked = self._settings.targets(self._frame.schedule.steps)
        scale = Scale(self._costs, lambda made: speed_up(self.own("", PLAIN, made)))
        for known in self._unaimed:
            scale.speed_up(known)
        papers = [method for one in asked for method in self._paper_at(one, scale)]
        if ours is not None:
            return [*papers, *ours]
        named = bool(self._settings.speed_ups)
        goals = [*asked, *(() if named else further(others, asked))]
        found = [
            method
            for number, one in enumerate(goals)
            for method in self._searched(one, scale, alone=number < len(asked))
        ]
        return [*papers, *found]

    def own(
        self, name: str, group: str, schedule: Schedule, correction: Correction | None = None
    ) -> Method:
        """Return a method that follows a schedule."""
        frame = replace(self._frame, schedule=schedule, correction=correction)
        fraction = self._costs.compute_fraction(schedule.steps, schedule.unit_runs)
        return Method(name, group, frame, compute_fraction=fraction)

    @cached_property
    def _unaimed(self) -> tuple[Schedule, Schedule]:
        """The paper's rule and whole blocks: schedules that are aimed at nothing."""
        paper = accumulate(self._profile, self._graph, self._settings.delta)
        return paper, whole_blocks(self._frame.schedule.steps, self._graph)

    def _paper(self, schedule: Schedule, delta: float) -> Iterator[Method]:
        """Give the paper's rule, alone, with its scale-shift in closed form, and trained."""
        name = f"paper, δ = {delta:g}"
        yield from self._corrected(name, schedule)
        if self._settings.training_minutes and schedule.reuses(self._graph):
            yield self.own(f"{name}, trained", PAPER, schedule, self._trained(schedule))

    def _corrected(self, name: str, schedule: Schedule) -> Iterator[Method]:
        yield self.own(name, PAPER, schedule)
        if schedule.reuses(self._graph):
            yield self.own(f"{name}, closed form", PAPER, schedule, self._closed(schedule, name))

    def _paper_at(self, goal_: float, scale: Scale) -> Iterator[Method]:
        """Give the paper's rule with the threshold that makes it so much faster.

        Where transformers alone do not reach that, ResBlocks are cached too.
        """
        most = accumulate(self._profile, self._graph, LARGEST_DELTA)
        enough = predicted_speed_up(most, self._costs) >= goal_ * BEYOND
        roles, what = (PAPER_ROLES, "") if enough else (RESIDUAL, " with ResBlocks")

        def at(wanted: float) -> Schedule:
            def rule(delta: float) -> Schedule:
                return accumulate(self._profile, self._graph, delta, roles)

            return threshold(rule, self._costs, wanted)[1]

        schedule = measured_at(goal_, at, scale)
        yield from self._corrected(f"paper{what}, {goal_:g}×", schedule)

    @cached_property
    def _profile(self) -> ChangeProfile:
        frame = self._frame
        return self._keep(profile(frame.solver, frame.schedule.steps), self._measured_profile)

    @torch.inference_mode()
    def _measured_profile(self) -> ChangeProfile:
        meter, model = ChangeMeter(self._graph, self._frame.schedule.steps), self._model
        pictures = self._settings.calibration
        for start in range(0, len(pictures), BATCH):
            batch = pictures[start : start + BATCH]
            noise = initial_latents(model, batch, self._frame)
            denoise(model, encode(model, batch, self._frame), noise, self._frame, meter.on_step)
            self._progress("change profile", start + len(batch), len(pictures))
        return meter.profile()

    def _trained(self, schedule: Schedule) -> Correction:
        frame = replace(self._frame, schedule=schedule)
        return self._keep(trained(frame), lambda: self._train(frame))

    def _train(self, frame: Frame) -> Correction:
        texts = [prompt.text for prompt in self._settings.calibration]
        training = Training(self._model, frame, texts, TrainingSettings())
        seconds = self._settings.training_minutes * 60
        start = time.perf_counter()
        while (spent := time.perf_counter() - start) < seconds:
            self._progress("training", int(spent), int(seconds))
            training.run(1)
        self._progress("training", int(seconds), int(seconds))
        return training.correction

    @cached_property
    def _influences(self) -> Influences:
        part = influence(self._frame.solver, self._frame.schedule.steps)
        return self._keep(part, self._measured_influences)

    def _measured_influences(self) -> Influences:
        return measure_influence(
            self._model,
            self._settings.calibration,
            self._frame,
            self._settings.influence,
            lambda done, total: self._progress("influence", done, total),
        )

    def _searched(self, goal_: float, scale: Scale, *, alone: bool) -> Iterator[Method]:
        """Give a schedule of least expected error `alone`, and the closest with two taps."""
        found = self._influences
        trusted = self._of_least_error(found.plain, goal_, scale, trust=True)
        if alone:
            yield self.own(f"searched, {goal_:.3g}×", PLAIN, trusted)
        others = (
            self._of_least_error(kind, goal_, scale) for kind in (found.plain, found.corrected)
        )
        best = self._closest.of([trusted, *others]).frame
        yield self.own(f"two taps, {goal_:.3g}×", TWO_TAPS, best.schedule, best.correction)

    @cached_property
    def _closest(self) -> Closest:
        shown = self._settings.calibration
        return Closest(self._model, self._frame, shown, self._progress, self._spent)

    def _of_least_error(
        self, found: Influence, goal_: float, scale: Scale, *, trust: bool = False
    ) -> Schedule:
        def at(wanted: float) -> Schedule:
            with self._spent("searched"):
                return aimed(found, self._graph, self._costs, wanted, trust=trust)

        return measured_at(goal_, at, scale)

    def _closed(self, schedule: Schedule, name: str) -> Correction:
        def tell(_stage: str, done: int, total: int) -> None:
            self._progress(f"correction: {name}", done, total)

        frame, shown = replace(self._frame, schedule=schedule), self._settings.calibration
        with self._spent("closed form"):
            return fit(self._model, frame, shown, batch=BATCH, progress=tell)

    @contextmanager
    def _spent(self, what: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        spent = time.perf_counter() - start
        self.seconds[what] = max(spent, self.seconds.get(what, 0.0))

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
