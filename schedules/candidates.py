"""Which plans are worth trying, and which of the tried ones are worth keeping."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate as accumulated
from itertools import chain
from typing import TYPE_CHECKING

from schedules.book import Plan, Quality
from schedules.influence import Table
from schedules.rules import (
    EVERY_LAYER,
    PAPER_ROLES,
    RESIDUAL,
    accumulate,
    all_compute,
    deepcache,
    main_branch_cuts,
    rested,
    uniform,
)
from schedules.search import Search

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from schedules.change import ChangeProfile
    from schedules.cost import CostModel, StageCosts
    from schedules.influence import Influence
    from schedules.schedule import Schedule
    from schedules.units import UnitGraph

STEPS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 30, 50)
DELTAS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2)
INTERVALS = (2, 3, 5)
HOPE = 4.0
RESTS = (0.75,)
ALL, EVEN, ODD = slice(None), slice(0, None, 2), slice(1, None, 2)
MOST_CALLS = 20
ROLE_SETS = {"attn": PAPER_ROLES, "residual": RESIDUAL, "all": EVERY_LAYER}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A schedule with the rule that made it."""

    rule: str
    schedule: Schedule


def candidates(
    profile: ChangeProfile,
    graph: UnitGraph,
    deltas: Sequence[float] = DELTAS,
    further: Iterable[Candidate] = (),
) -> tuple[Candidate, ...]:
    """Return every rule's and all `further` schedules for one solver and step count, each once."""
    found: dict[Schedule, Candidate] = {}
    for candidate in chain(_all(profile, graph, deltas), further):
        found.setdefault(candidate.schedule, candidate)
    return tuple(found.values())


def _all(profile: ChangeProfile, graph: UnitGraph, deltas: Sequence[float]) -> Iterator[Candidate]:
    steps = profile.steps
    yield Candidate("uncached", all_compute(steps, graph))
    for label, roles in ROLE_SETS.items():
        for delta in deltas:
            schedule = accumulate(profile, graph, delta, roles)
            yield Candidate(f"accumulate-{label}-{delta:g}", schedule)
    for interval in INTERVALS:
        yield Candidate(f"uniform-{interval}", uniform(steps, graph, interval))
        for branch in range(len(main_branch_cuts(graph))):
            schedule = deepcache(steps, graph, interval, branch)
            yield Candidate(f"deepcache-{interval}-{branch}", schedule)


def optimal(
    influence: Influence,
    graph: UnitGraph,
    costs: StageCosts,
    most_rows: int | None = None,
    prices: slice = ALL,
) -> tuple[Candidate, ...]:
    """Return the schedules of least expected error for their time, from dear to cheap.

    Each is called by the share of the unit time that it spends, and has no more than `most_rows`
    different rows. `prices` are those of a frontier's prices of time that are tried.
    """
    search = Search(influence, graph, costs, most_rows)
    found = (one.schedule for one in search.frontier(search.prices()[prices]))
    spent = ((s, costs.compute_fraction(s.steps, s.unit_runs)) for s in found)
    return tuple(Candidate(f"optimal-{fraction:.3f}", s) for s, fraction in spent)


def hopeful(
    found: Sequence[Candidate],
    influence: Influence,
    graph: UnitGraph,
    costs: StageCosts,
    slack: float = HOPE,
) -> tuple[Candidate, ...]:
    """Return the candidates worth a picture: none that is no dearer is expected far better.

    Far better means less than 1 / `slack` of the expected squared error.
    """
    table = Table.to_choose_by(influence, graph)
    errors = {c.schedule: table.of(c.schedule) for c in found}

    def place(candidate: Candidate) -> tuple[float, float]:
        schedule = candidate.schedule
        return costs.denoise_ms(schedule.steps, schedule.unit_runs), errors[schedule]

    rising = sorted(found, key=place)
    least = accumulated((errors[c.schedule] for c in rising), min)
    pairs = zip(rising, least, strict=True)
    return tuple(c for c, lowest in pairs if errors[c.schedule] <= slack * lowest)


def promising(plans: Iterable[Plan], judged: Sequence[Plan], costs: CostModel) -> tuple[Plan, ...]:
    """Return the plans that might be the best for their time.

    None is, where a judged plan that takes no longer is as good as the uncached run of the same
    solver and steps: a cached run comes as close at best.
    """
    best = {(p.solver, p.steps): p.quality.value for p in judged if p.schedule.is_uncached}
    known = [(_ms(p, costs), p.quality.value) for p in judged]

    def may_win(plan: Plan) -> bool:
        ms = _ms(plan, costs)
        quickest = max((quality for took, quality in known if took <= ms), default=0.0)
        return best.get((plan.solver, plan.steps), 1.0) > quickest

    return tuple(plan for plan in plans if may_win(plan))


def resting(plans: Iterable[Plan], graph: UnitGraph) -> tuple[Plan, ...]:
    """Return each of the plans with steps of rest put in, for every share in RESTS.

    Long plans have none: their steps are close enough together. Nor have those so short that only
    the last step would rest. Quality is not measured yet, and is only good with a correction that
    forecasts what a step of rest gives.
    """
    short = [plan for plan in plans if plan.steps <= MOST_CALLS]
    pairs = ((plan, _rested(plan, graph, share)) for plan in short for share in RESTS)
    return tuple(rested_ for plan, rested_ in pairs if rested_.steps > plan.steps)


def _rested(plan: Plan, graph: UnitGraph, share: float) -> Plan:
    schedule = rested(plan.schedule, graph, share)
    rule = f"{plan.rule}-rest-{share:g}"
    return Plan.of(plan.solver, rule, schedule, graph, Quality(plan.quality.metric, 0.0))


def closer_than_uncached(plans: Sequence[Plan], costs: CostModel) -> tuple[Plan, ...]:
    """Return the plans without cached ones that an uncached run comes as close as in as much time.

    A cached plan has to lead in every figure that was measured (all are higher for closer
    pictures): one alone may lead by chance, where pictures are few and nothing is close.
    """
    uncached = [(_ms(one, costs), one.measured) for one in plans if one.schedule.is_uncached]

    def leads(plan: Plan) -> bool:
        ms, figures = _ms(plan, costs), plan.measured
        quick = (known for took, known in uncached if took <= ms)
        return all(figures[name] > known[name] for known in quick for name in figures)

    return tuple(plan for plan in plans if plan.schedule.is_uncached or leads(plan))


def _ms(plan: Plan, costs: CostModel) -> float:
    return costs.total_ms(plan.steps, plan.unit_runs)


def undominated(
    plans: Iterable[Plan], costs: CostModel, *, time_slack: float = 0.0, quality_slack: float = 0.0
) -> tuple[Plan, ...]:
    """Return the plans that no other beats clearly, cheapest first.

    A plan is beaten when another takes less than `1 − time_slack` of its time and is better by
    `quality_slack` or more. With both slacks 0 this is the Pareto frontier; slack keeps plans that
    may lie on the frontier of another device or of a more exact measurement.
    """
    timed = sorted(
        ((_ms(p, costs), p) for p in plans),
        key=lambda pair: (pair[0], -pair[1].quality.value),
    )
    return tuple(
        plan
        for i, (ms, plan) in enumerate(timed)
        if not any(
            _beats(other, other_ms, plan, ms * (1 - time_slack), quality_slack)
            for other_ms, other in timed[:i]
        )
    )


def _beats(other: Plan, other_ms: float, plan: Plan, ms: float, quality_slack: float) -> bool:
    return other_ms <= ms and other.quality.value >= plan.quality.value + quality_slack
