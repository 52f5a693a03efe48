"""Calibrate a model: how its units change, which plans are worth running, how good they are.

The order of things: costs on this device; the uncached reference; for every solver and step count
an uncached run that gives the change profile, and one with gradients that says what each reuse does
to the picture; candidate schedules from both, without those that are expected to be far from the
best; all of them on a few pictures, the promising ones on all pictures, the best once more with a
correction fitted for each; the plan book.

All but the costs is kept as soon as it is finished, so that an interrupted calibration goes on. The
plans chosen for a stage are kept too: costs are never the same twice, and would choose others.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from schedules.book import Plan, PlanBook, Quality
from schedules.candidates import candidates, hopeful, optimal, resting, undominated
from schedules.rules import all_compute
from workers import calibration_parts as parts
from workers.calibration_settings import REFERENCE
from workers.costing import measure_costs
from workers.fitting import fit
from workers.influence import measure_influence
from workers.profiling import ChangeMeter
from workers.quality import METRIC, Judge, PerceptualDistance
from workers.sampler import always
from workers.studio import Studio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from schedules.change import ChangeProfile
    from schedules.cost import CostModel
    from schedules.influence import Influence
    from workers.calibration_parts import Keep
    from workers.calibration_settings import CalibrationSettings
    from workers.correction import Correction
    from workers.pipeline import Model
    from workers.quality import Fidelity
    from workers.sampler import OnStep

    Progress = Callable[[str, int, int], None]
    Run = tuple[str, int]


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
    profiles, influences = dict(work.profiles()), dict(work.influences())
    tried = work.chosen("screening", lambda: work.candidates(costs, profiles, influences))
    measured, corrected = _narrowed(work, judge, tried, costs)
    plans = [*measured, *(plan for plan, _ in corrected)]
    kept = undominated(plans, costs, time_slack=0.03, quality_slack=0.0005)
    named = {plan.correction for plan in kept}
    used = {correction.id: correction for _, correction in corrected if correction.id in named}
    return Calibration(settings, costs, profiles, work.book(kept), used)


def _narrowed(
    work: _Work, judge: Judge, tried: Sequence[Plan], costs: CostModel
) -> tuple[list[Plan], list[tuple[Plan, Correction]]]:
    """Return the promising plans with their quality, and the best of them corrected."""
    screened = work.judged(judge, "screening", tried, work.settings.screened)
    promising = work.chosen(
        "measuring", lambda: undominated(screened, costs, time_slack=0.02, quality_slack=0.001)
    )
    measured = work.judged(judge, "measuring", promising, judge.pictures)
    best = work.chosen("corrections", lambda: undominated(measured, costs))
    return measured, list(work.corrected(judge, best))


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

    def influences(self) -> Iterator[tuple[Run, Influence]]:
        for done, run in enumerate(self.settings.runs, start=1):
            yield run, self.keep(parts.influence(*run), partial(self._influence, *run))
            self.progress("influence", done, len(self.settings.runs))

    def _influence(self, solver: str, steps: int) -> Influence:
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
        influences: Mapping[Run, Influence],
    ) -> Iterator[Plan]:
        """Give the plans to try, of all rules and all runs."""
        graph, settings = self.model.units.graph, self.settings
        for run, influence in influences.items():
            best = optimal(influence, graph, costs.at(1), settings.most_rows)
            found = candidates(profiles[run], graph, settings.deltas, best)
            for candidate in hopeful(found, influence, graph, costs.at(1)):
                schedule, quality = candidate.schedule, Quality(METRIC, 0.0)
                yield Plan.of(run[0], candidate.rule, schedule, graph, quality)

    def judged(self, judge: Judge, stage: str, plans: Sequence[Plan], pictures: int) -> list[Plan]:
        """Return the plans with the fidelity of their first `pictures` pictures."""
        judged = []
        for done, plan in enumerate(plans, start=1):
            # By what was looked at, not by the stage: a later one may look at the same pictures.
            part = parts.fidelity(f"first-{pictures}", plan)
            make = partial(self._seen, judge, plan, pictures)
            judged.append(_rated(plan, self.keep(part, make)))
            self.progress(stage, done, len(plans))
        return judged

    def _seen(
        self, judge: Judge, plan: Plan, count: int, correction: Correction | None = None
    ) -> Fidelity:
        pictures = self.studio.pictures(plan.solver, plan.schedule, count, correction=correction)
        return judge.fidelity(pictures)

    def corrected(self, judge: Judge, plans: Sequence[Plan]) -> Iterator[tuple[Plan, Correction]]:
        """Give plans with the correction fitted for each: those that reuse, and all with rests."""
        reusing = (plan for plan in plans if plan.counts.hit_ratio > 0)
        cached = [*reusing, *resting(plans, self.model.units.graph)]
        for done, plan in enumerate(cached, start=1):
            correction = self.keep(parts.correction(plan), partial(self._fitted, plan))
            make = partial(self._seen, judge, plan, judge.pictures, correction)
            found = self.keep(parts.fidelity("corrected", plan), make)
            yield _rated(replace(plan, correction=correction.id), found), correction
            self.progress("corrections", done, len(cached))

    def _fitted(self, plan: Plan) -> Correction:
        requests = self.settings.requests[-self.settings.correction_pictures :]
        frame = self.settings.frame(plan.solver, plan.schedule)
        return fit(self.model, frame, requests, two_tap=True)

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


def _rated(plan: Plan, found: Fidelity) -> Plan:
    measured = {name: round(value, 4) for name, value in asdict(found).items()}
    return replace(plan, quality=Quality(METRIC, round(found.similarity, 6)), measured=measured)
