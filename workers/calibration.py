"""Calibrate a model: how its units change, which plans are worth running, how good they are.

The order of things: costs on this device; the uncached reference; for every solver and step count
an uncached run that gives the change profile, and one with gradients that says what each reuse does
to the picture; candidate schedules from both, without those that are expected to be far from the
best; all of them on a few pictures, the promising ones on all pictures, the best once more with a
correction fitted for each; the plan book.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from schedules.book import Plan, PlanBook, Quality
from schedules.candidates import (
    DELTAS,
    STEPS,
    candidates,
    hopeful,
    optimal,
    resting,
    undominated,
)
from schedules.rules import all_compute
from workers.costing import measure_costs
from workers.errors import CalibrationError
from workers.fitting import fit
from workers.images import to_pixels
from workers.influence import InfluenceSettings, measure_influence
from workers.profiling import ChangeMeter
from workers.quality import METRIC, Judge, PerceptualDistance
from workers.sampler import Frame, Prompt, always, decode, denoise, encode, initial_latents
from workers.solvers import CALIBRATED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from schedules.change import ChangeProfile
    from schedules.cost import CostModel
    from schedules.influence import Influence
    from schedules.schedule import Schedule
    from schedules.units import UnitGraph
    from workers.correction import Correction
    from workers.pipeline import Model
    from workers.quality import Fidelity
    from workers.sampler import OnStep

    Progress = Callable[[str, int, int], None]

REFERENCE = ("dpmpp_2m", 50)
# With more steps than this all solvers are close to the reference.
LONG = 20


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """What a calibration covers. Pictures are `prompts` × seeds 0 … `seeds` − 1.

    Influence is taken over the first `influence_pictures`, quality and change profiles over the
    first `quality_pictures` (every prompt once before any repeats), and unpromising plans are
    dropped after a few. Corrections are fitted to the last
    `correction_pictures`, which are others than those judged where there are enough. Searched
    schedules have at most `most_rows` different rows.
    """

    width: int
    height: int
    guidance_scale: float
    prompts: tuple[str, ...]
    seeds: int = 2
    steps: tuple[int, ...] = STEPS
    solvers: tuple[str, ...] = CALIBRATED
    deltas: tuple[float, ...] = DELTAS
    batches: tuple[int, ...] = (1, 2, 4, 8)
    screening_pictures: int = 8
    quality_pictures: int = 32
    influence_pictures: int = 32
    correction_pictures: int = 32
    most_rows: int | None = None
    influence: InfluenceSettings = field(default_factory=InfluenceSettings)

    def __post_init__(self) -> None:
        if not self.prompts or self.seeds < 1:
            raise CalibrationError("a calibration needs at least one prompt and one seed")
        if min(self.steps) < 2:
            raise CalibrationError("a change profile needs at least 2 steps")

    @property
    def runs(self) -> list[tuple[str, int]]:
        """All pairs of solver and number of steps; long ones of the reference's solver only."""
        longest = max(LONG, min(self.steps))
        return [
            (solver, steps)
            for solver in self.solvers
            for steps in self.steps
            if solver == REFERENCE[0] or steps <= longest
        ]

    @property
    def judged(self) -> int:
        """Number of pictures that quality and change profiles are taken over."""
        return min(self.quality_pictures, len(self.requests))

    def frame(self, solver: str, schedule: Schedule) -> Frame:
        """Return what pictures of this calibration share."""
        return Frame(self.width, self.height, self.guidance_scale, solver, schedule)

    @property
    def requests(self) -> list[Prompt]:
        """All pictures, every prompt once before any repeats."""
        return [Prompt(text, None, seed) for seed in range(self.seeds) for text in self.prompts]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration found. Profiles are by (solver, steps), corrections by id."""

    settings: CalibrationSettings
    costs: CostModel
    profiles: dict[tuple[str, int], ChangeProfile]
    book: PlanBook
    corrections: dict[str, Correction]


class Studio:
    """Makes the calibration pictures of one model, in batches, under any plan."""

    def __init__(self, model: Model, settings: CalibrationSettings) -> None:
        self._model = model
        self._settings = settings
        self._batch = max(settings.batches)

    @torch.inference_mode()
    def pictures(
        self,
        solver: str,
        schedule: Schedule,
        count: int,
        on_step: OnStep = always,
        correction: Correction | None = None,
    ) -> NDArray[np.uint8]:
        """Return the first `count` pictures, B × H × W × 3."""
        frame = replace(self._settings.frame(solver, schedule), correction=correction)
        requests = self._settings.requests[:count]
        chunks = [requests[i : i + self._batch] for i in range(0, count, self._batch)]
        return np.concatenate([self._chunk(chunk, frame, on_step) for chunk in chunks])

    def _chunk(
        self, requests: Sequence[Prompt], frame: Frame, on_step: OnStep
    ) -> NDArray[np.uint8]:
        conditioning = encode(self._model, requests, frame)
        start = initial_latents(self._model, requests, frame)
        latents, _ = denoise(self._model, conditioning, start, frame, on_step)
        return to_pixels(decode(self._model, latents))


def calibrate(model: Model, settings: CalibrationSettings, progress: Progress) -> Calibration:
    """Run the whole calibration; `progress(stage, done, total)` is told how far it is."""
    costs = _costs(model, settings, progress)
    studio, graph = Studio(model, settings), model.units.graph
    total = settings.judged
    solver, steps = REFERENCE
    progress("reference", 0, 1)
    reference = studio.pictures(solver, all_compute(steps, graph), total)
    judge = Judge(reference, PerceptualDistance(model.device))
    progress("reference", 1, 1)
    profiles = dict(_profiles(studio, model, settings, progress))
    influences = dict(_influences(model, settings, progress))
    tried = list(_tried(graph, settings, costs, profiles, influences))
    screened = _judged(
        studio, judge, tried, min(settings.screening_pictures, total), "screening", progress
    )
    promising = undominated(screened, costs, time_slack=0.02, quality_slack=0.001)
    measured = _judged(studio, judge, promising, total, "measuring", progress)
    best = undominated(measured, costs)
    corrected, corrections = _corrected(model, settings, studio, judge, best, progress)
    kept = undominated([*measured, *corrected], costs, time_slack=0.03, quality_slack=0.0005)
    book = PlanBook(
        model.name, model.revision, settings.width, settings.height, METRIC, graph, kept
    )
    named = {plan.correction for plan in kept}
    used = {name: found for name, found in corrections.items() if name in named}
    return Calibration(settings, costs, profiles, book, used)


def _costs(model: Model, settings: CalibrationSettings, progress: Progress) -> CostModel:
    done = iter(range(1, len(settings.batches) + 1))
    return measure_costs(
        model,
        settings.width,
        settings.height,
        settings.guidance_scale,
        settings.batches,
        on_batch=lambda _batch: progress("costs", next(done), len(settings.batches)),
    )


def _profiles(
    studio: Studio, model: Model, settings: CalibrationSettings, progress: Progress
) -> Iterator[tuple[tuple[str, int], ChangeProfile]]:
    for done, (solver, steps) in enumerate(settings.runs, start=1):
        meter = ChangeMeter(model.units.graph, steps)
        schedule = all_compute(steps, model.units.graph)
        studio.pictures(solver, schedule, settings.judged, meter.on_step)
        progress("change profiles", done, len(settings.runs))
        yield (solver, steps), meter.profile()


def _influences(
    model: Model, settings: CalibrationSettings, progress: Progress
) -> Iterator[tuple[tuple[str, int], Influence]]:
    requests = settings.requests[: settings.influence_pictures]
    for done, (solver, steps) in enumerate(settings.runs, start=1):
        frame = settings.frame(solver, all_compute(steps, model.units.graph))
        influence = measure_influence(model, requests, frame, settings.influence)
        progress("influence", done, len(settings.runs))
        yield (solver, steps), influence


def _tried(
    graph: UnitGraph,
    settings: CalibrationSettings,
    costs: CostModel,
    profiles: Mapping[tuple[str, int], ChangeProfile],
    influences: Mapping[tuple[str, int], Influence],
) -> Iterator[Plan]:
    """Give the plans to try, of all rules and all runs."""
    for run, influence in influences.items():
        best = optimal(influence, graph, costs.at(1), settings.most_rows)
        found = candidates(profiles[run], graph, settings.deltas, best)
        for candidate in hopeful(found, influence, graph, costs.at(1)):
            schedule, quality = candidate.schedule, Quality(METRIC, 0.0)
            yield Plan.of(run[0], candidate.rule, schedule, graph, quality)


def _judged(
    studio: Studio,
    judge: Judge,
    plans: Sequence[Plan],
    pictures: int,
    stage: str,
    progress: Progress,
) -> list[Plan]:
    """Return the plans with the fidelity of their first `pictures` pictures."""
    judged = []
    for done, plan in enumerate(plans, start=1):
        found = judge.fidelity(studio.pictures(plan.solver, plan.schedule, pictures))
        judged.append(_rated(plan, found))
        progress(stage, done, len(plans))
    return judged


def _rated(plan: Plan, found: Fidelity) -> Plan:
    measured = {name: round(value, 4) for name, value in asdict(found).items()}
    return replace(plan, quality=Quality(METRIC, round(found.similarity, 6)), measured=measured)


def _corrected(
    model: Model,
    settings: CalibrationSettings,
    studio: Studio,
    judge: Judge,
    plans: Sequence[Plan],
    progress: Progress,
) -> tuple[list[Plan], dict[str, Correction]]:
    """Return plans that reuse, each with a correction fitted for it, and these by id.

    They are those of `plans` that do, and all of them with steps of rest.
    """
    reusing = [plan for plan in plans if plan.counts.hit_ratio > 0]
    cached = [*reusing, *resting(plans, model.units.graph)]
    requests = settings.requests[-settings.correction_pictures :]
    found, corrections = [], {}
    for done, plan in enumerate(cached, start=1):
        frame = settings.frame(plan.solver, plan.schedule)
        correction = fit(model, frame, requests, two_tap=True)
        corrections[correction.id] = correction
        pictures = studio.pictures(
            plan.solver, plan.schedule, judge.pictures, correction=correction
        )
        found.append(_rated(replace(plan, correction=correction.id), judge.fidelity(pictures)))
        progress("corrections", done, len(cached))
    return found, corrections
