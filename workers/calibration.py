"""Calibrate a model: how its units change, which plans are worth running, how good they are.

The order of things: costs on this device; the uncached reference; for every solver and step count
an uncached run that gives the change profile, and, where no other solver comes clearly closer in as
few steps, one with gradients that says what each reuse does to the picture; candidate schedules
from both, without those that are expected to be far from the best; all of them on a few pictures,
the promising ones on all pictures; the best, and schedules searched for it, with a correction
fitted for each (`workers/correcting.py`); the plan book.

All but the costs is kept as soon as it is finished, so that an interrupted calibration goes on. The
plans chosen for a stage are kept too: costs are never the same twice, and would choose others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from schedules.book import Plan, PlanBook, Quality
from schedules.candidates import (
    EVEN,
    ODD,
    Candidate,
    candidates,
    closer_than_uncached,
    hopeful,
    optimal,
    promising,
    resting,
    undominated,
)
from schedules.rules import all_compute
from workers import calibration_parts as parts
from workers.calibration_settings import REFERENCE
from workers.correcting import Corrected, Correcting, rated
from workers.costing import measure_costs
from workers.influence import measure_influence
from workers.moving import Moving
from workers.polishing import polished
from workers.profiling import ChangeMeter
from workers.quality import METRIC, Judge, PerceptualDistance
from workers.sampler import always
from workers.studio import Studio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from schedules.change import ChangeProfile
    from schedules.cost import CostModel
    from schedules.influence import Influences
    from schedules.units import UnitGraph
    from workers.calibration_parts import Keep
    from workers.calibration_settings import CalibrationSettings
    from workers.correction import Correction
    from workers.pipeline import Model
    from workers.quality import Fidelity
    from workers.sampler import OnStep

    Progress = Callable[[str, int, int], None]
    Run = tuple[str, int]


# By so much a solver's uncached run must come less close than another's to be left out.
WORSE = 0.003


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a calibration found. Profiles are by (solver, steps), corrections by id."""

    settings: CalibrationSettings
    costs: CostModel
    profiles: dict[Run, ChangeProfile]
    book: PlanBook
    corrections: dict[str, Correction]


def calibrate(
    model: Model,
    settings: CalibrationSettings,
    progress: Progress,
    keep: Keep = parts.keep_nothing,
) -> Calibration:
    """Run the whole calibration; `progress(stage, done, total)` is told how far it is.

    What `keep` has of the same model and settings is not made again.
    """
    work = _Work(model, settings, Studio(model, settings), progress, keep)
    costs, judge = work.costs(), work.judge()
    profiles = dict(work.profiles())
    influences = dict(work.influences(work.runs(judge, costs)))
    tried = work.chosen("screening", lambda: work.candidates(costs, profiles, influences))
    screened = work.judged(judge, "screening", tried, settings.screened)
    promised = work.chosen("searched", lambda: work.searched(costs, influences, screened))
    measured = work.measured(judge, screened, costs)
    correcting = Correcting(model, settings, work.studio, judge, costs, influences, progress, keep)
    corrected = _corrected(work, correcting, measured, promised)
    plans = closer_than_uncached([*measured, *(one.plan for one in corrected)], costs)
    kept = undominated(plans, costs, time_slack=0.03, quality_slack=0.0005)
    named = {plan.correction for plan in kept}
    used = {one.correction.id: one.correction for one in corrected if one.correction.id in named}
    return Calibration(settings, costs, profiles, work.book(kept), used)


def _corrected(
    work: _Work, correcting: Correcting, measured: Sequence[Plan], promised: Sequence[Plan]
) -> list[Corrected]:
    """Return the best plans and those promised corrected, with rests, and what is found from them.

    What a stage is about was chosen by costs that are never the same twice, and is kept.
    """
    graph, costs = work.model.units.graph, correcting.costs
    best = work.chosen("corrections", lambda: undominated(measured, costs))
    reusing = (plan for plan in (*best, *promised) if plan.counts.hit_ratio > 0)
    different = {(plan.solver, plan.schedule): plan for plan in reusing}
    found = correcting.fitted("corrections", list(different.values()))
    plans = [*best, *(one.plan for one in found)]
    rests = work.chosen("rests", lambda: resting(undominated(plans, costs), graph))
    found += correcting.fitted("rests", rests)
    for number in range(1, work.settings.rounds + 1):
        found += correcting.round(number, found)
    return _longer(work, correcting, found)


def _longer(work: _Work, correcting: Correcting, found: list[Corrected]) -> list[Corrected]:
    """Spend on the best plans what time there is for moves and training."""
    settings = work.settings
    if settings.moves_minutes:
        moving = Moving(correcting, work.last_latents())
        moved = moving.moved(correcting.best("moves", found), settings.moves_minutes)
        found = [*found, *map(correcting.corrected, moved)]
    if settings.train_minutes:
        best = correcting.best("training", found)
        found = polished(correcting, found, best, settings.train_minutes)
    return found


@dataclass(frozen=True, slots=True)
class _Work:
    """The stages, each part of which is kept once it is finished."""

    model: Model
    settings: CalibrationSettings
    studio: Studio
    progress: Progress
    keep: Keep

    def costs(self) -> CostModel:
        settings = self.settings
        done = iter(range(1, len(settings.batches) + 1))
        return measure_costs(
            self.model,
            settings.width,
            settings.height,
            settings.guidance_scale,
            settings.batches,
            on_batch=lambda _batch: self.progress("costs", next(done), len(settings.batches)),
        )

    def judge(self) -> Judge:
        """Return who compares pictures with those of the uncached reference run."""
        self.progress("reference", 0, 1)
        pictures = self.keep(parts.reference(), lambda: self._uncached(*REFERENCE))
        self.progress("reference", 1, 1)
        return Judge(pictures, PerceptualDistance(self.model.device))

    def last_latents(self) -> Tensor:
        """Return the final latents of the first pictures of the reference run."""
        solver, steps = REFERENCE
        schedule = all_compute(steps, self.model.units.graph)
        return self.keep(
            parts.last_latents(),
            lambda: self.studio.latents(solver, schedule, self.settings.screened),
        )

    def _uncached(self, solver: str, steps: int, on_step: OnStep = always) -> NDArray[np.uint8]:
        schedule = all_compute(steps, self.model.units.graph)
        return self.studio.pictures(solver, schedule, self.settings.judged, on_step)

    def profiles(self) -> Iterator[tuple[Run, ChangeProfile]]:
        for done, run in enumerate(self.settings.runs, start=1):
            yield run, self.keep(parts.profile(*run), partial(self._profile, *run))
            self.progress("change profiles", done, len(self.settings.runs))

    def _profile(self, solver: str, steps: int) -> ChangeProfile:
        meter = ChangeMeter(self.model.units.graph, steps)
        self._uncached(solver, steps, meter.on_step)
        return meter.profile()

    def runs(self, judge: Judge, costs: CostModel) -> list[Run]:
        """Return the runs that no other with as few steps comes closer than, uncached."""
        graph = self.model.units.graph
        plans = [
            _untried(run, Candidate("uncached", all_compute(run[1], graph)), graph)
            for run in self.settings.runs
        ]
        judged = self.judged(judge, "uncached runs", plans, self.settings.screened)
        best = self.chosen("runs", lambda: undominated(judged, costs, quality_slack=WORSE))
        return [(plan.solver, plan.steps) for plan in best]

    def influences(self, runs: Sequence[Run]) -> Iterator[tuple[Run, Influences]]:
        for done, run in enumerate(runs, start=1):
            yield run, self.keep(parts.influence(*run), partial(self._influence, *run))
            self.progress("influence", done, len(runs))

    def _influence(self, solver: str, steps: int) -> Influences:
        requests = self.settings.requests[: self.settings.influence_pictures]
        frame = self.settings.frame(solver, all_compute(steps, self.model.units.graph))
        return measure_influence(self.model, requests, frame, self.settings.influence)

    def chosen(self, stage: str, choose: Callable[[], Iterable[Plan]]) -> tuple[Plan, ...]:
        """Return the plans that a stage is about."""
        part = parts.plans(stage, self.model.units.graph)
        return self.keep(part, lambda: tuple(choose()))

    def candidates(
        self,
        costs: CostModel,
        profiles: Mapping[Run, ChangeProfile],
        influences: Mapping[Run, Influences],
    ) -> Iterator[Plan]:
        """Give the plans to try, of all rules and all runs."""
        graph, settings = self.model.units.graph, self.settings
        if 1 in settings.steps:
            single = Candidate("uncached", all_compute(1, graph))
            yield _untried((REFERENCE[0], 1), single, graph)
        for run, influence in influences.items():
            found = candidates(profiles[run], graph, settings.deltas)
            for candidate in hopeful(found, influence.plain, graph, costs.at(1)):
                yield _untried(run, candidate, graph)

    def searched(
        self, costs: CostModel, influences: Mapping[Run, Influences], screened: Sequence[Plan]
    ) -> tuple[Plan, ...]:
        """Return schedules of least error once corrected that may be the best for their time."""
        graph, stage, most_rows = self.model.units.graph, costs.at(1), self.settings.most_rows
        found = (
            _untried(run, candidate, graph)
            for run, influence in influences.items()
            for kind, prices in ((influence.corrected, EVEN), (influence.plain, ODD))
            for candidate in optimal(kind, graph, stage, most_rows, prices)
        )
        return promising(found, screened, costs)

    def measured(self, judge: Judge, screened: Sequence[Plan], costs: CostModel) -> list[Plan]:
        """Return the best of a first look with the fidelity of all their pictures."""
        clear = self.chosen(
            "measuring", lambda: undominated(screened, costs, time_slack=0.02, quality_slack=0.001)
        )
        return self.judged(judge, "measuring", clear, judge.pictures)

    def judged(self, judge: Judge, stage: str, plans: Sequence[Plan], pictures: int) -> list[Plan]:
        """Return the plans with the fidelity of their first `pictures` pictures."""
        judged = []
        for done, plan in enumerate(plans, start=1):
            # By what was looked at, not by the stage: a later one may look at the same pictures.
            part = parts.fidelity(f"first-{pictures}", plan)
            make = partial(self._seen, judge, plan, pictures)
            judged.append(rated(plan, self.keep(part, make)))
            self.progress(stage, done, len(plans))
        return judged

    def _seen(self, judge: Judge, plan: Plan, count: int) -> Fidelity:
        return judge.fidelity(self.studio.pictures(plan.solver, plan.schedule, count))

    def book(self, plans: tuple[Plan, ...]) -> PlanBook:
        model, settings = self.model, self.settings
        return PlanBook(
            model.name,
            model.revision,
            settings.width,
            settings.height,
            METRIC,
            model.units.graph,
            plans,
        )


def _untried(run: Run, candidate: Candidate, graph: UnitGraph) -> Plan:
    return Plan.of(run[0], candidate.rule, candidate.schedule, graph, Quality(METRIC, 0.0))
