"""The corrected plans of a calibration: fitted, judged, and searched again where they are best.

What a plan's own run, cached and corrected, does to its values is not what an uncached one does.
So influence is measured again along it, with the errors that a correction leaves, and the search
goes on from there; what measures better is kept, because the plan book takes the best of all.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from schedules.book import Plan, Quality
from schedules.candidates import undominated
from schedules.search import Search
from workers import calibration_parts as parts
from workers.fitting import fit
from workers.influence import measure_influence
from workers.quality import METRIC

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from schedules.cost import CostModel
    from schedules.influence import Influence, Influences
    from schedules.schedule import Schedule
    from workers.calibration_parts import Keep
    from workers.calibration_settings import CalibrationSettings
    from workers.correction import Correction
    from workers.pipeline import Model
    from workers.quality import Fidelity, Judge
    from workers.studio import Studio

    Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Corrected:
    """A plan, whose quality was measured with its correction."""

    plan: Plan
    correction: Correction


@dataclass(frozen=True, slots=True)
class Correcting:
    """Fits, judges and improves corrected plans; what is finished is kept."""

    model: Model
    settings: CalibrationSettings
    studio: Studio
    judge: Judge
    costs: CostModel
    influences: Mapping[tuple[str, int], Influences]
    progress: Progress
    keep: Keep

    def fitted(self, stage: str, plans: Sequence[Plan]) -> list[Corrected]:
        """Return the plans with the correction fitted for each."""
        found = []
        for done, plan in enumerate(plans, start=1):
            found.append(self.corrected(plan))
            self.progress(stage, done, len(plans))
        return found

    def corrected(self, plan: Plan) -> Corrected:
        """Return a plan with the correction fitted for it."""
        return self.judged("corrected", plan, self.correction_of(plan))

    def correction_of(self, plan: Plan) -> Correction:
        """Return the correction fitted for a plan."""
        return self.keep(parts.correction(plan), partial(self._fit, plan))

    def judged(self, look: str, plan: Plan, correction: Correction) -> Corrected:
        """Return the plan with the quality that a correction gives it, named by the `look`."""
        make = partial(self._seen, plan, correction)
        found = self.keep(parts.fidelity(look, plan), make)
        return Corrected(rated(replace(plan, correction=correction.id), found), correction)

    def _fit(self, plan: Plan) -> Correction:
        requests = self.settings.requests[-self.settings.correction_pictures :]
        frame = self.settings.frame(plan.solver, plan.schedule)
        return fit(self.model, frame, requests, two_tap=True)

    def _seen(self, plan: Plan, correction: Correction) -> Fidelity:
        pictures = self.studio.pictures(
            plan.solver, plan.schedule, self.judge.pictures, correction=correction
        )
        return self.judge.fidelity(pictures)

    def best(self, stage: str, known: Sequence[Corrected]) -> list[Corrected]:
        """Return those that no other beats: what a stage is about."""
        graph = self.model.units.graph
        chosen = self.keep(
            parts.plans(stage, graph),
            lambda: undominated((one.plan for one in known), self.costs),
        )
        by_table = {(one.plan.solver, one.plan.schedule): one for one in known}
        return [by_table[plan.solver, plan.schedule] for plan in chosen]

    def round(self, number: int, known: Sequence[Corrected]) -> list[Corrected]:
        """Search again from each of the best, along its own run; return what is found."""
        graph, found = self.model.units.graph, list[Corrected]()
        best = self.best(f"round-{number}", known)
        for done, one in enumerate(best, start=1):
            nearer = partial(self._nearer, number, one)
            plans = self.keep(parts.nearer(number, one.plan, graph), nearer)
            found += [self.corrected(plan) for plan in plans]
            self.progress(f"round {number}", done, len(best))
        return found

    def _nearer(self, number: int, one: Corrected) -> tuple[Plan, ...]:
        """Return other plans of least expected error that take no longer.

        By the influence along its own run alone, and together with that of the uncached run: there
        are few projections of the first, and the second is a little beside the point.
        """
        plan, own = one.plan, self.along(number, one)
        uncached = self.influences.get((plan.solver, plan.steps))
        kinds = [own] if uncached is None else [own, own.joined(uncached.corrected)]
        schedules = dict.fromkeys(self._least(plan, kind) for kind in kinds)
        schedules.pop(plan.schedule, None)
        graph, quality = self.model.units.graph, Quality(METRIC, 0.0)
        return tuple(
            Plan.of(plan.solver, f"{plan.rule}-r{number}{letter}", schedule, graph, quality)
            for letter, schedule in zip("ab", schedules, strict=False)
        )

    def _least(self, plan: Plan, influence: Influence) -> Schedule:
        stage = self.costs.at(1)
        spent_ms = sum(n * ms for n, ms in zip(plan.unit_runs, stage.unit_ms, strict=True))
        search = Search(influence, self.model.units.graph, stage, self.settings.most_rows)
        found = search.near(plan.schedule, spent_ms)
        return plan.schedule if found is None else found.schedule

    def along(self, number: int, one: Corrected) -> Influence:
        """Measure influence along a plan's own run, over other pictures in each round."""
        settings, plan = self.settings, one.plan
        frame = replace(settings.frame(plan.solver, plan.schedule), correction=one.correction)
        requests = settings.shown(number, settings.influence_pictures)
        return measure_influence(self.model, requests, frame, settings.influence).corrected


def rated(plan: Plan, found: Fidelity) -> Plan:
    """Return the plan with what was measured of its pictures."""
    measured = {name: round(value, 4) for name, value in asdict(found).items()}
    return replace(plan, quality=Quality(METRIC, round(found.similarity, 6)), measured=measured)
