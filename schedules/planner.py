"""The choice: the best picture that still fits the budget."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from schedules.recalling import recalled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from schedules.book import Plan, PlanBook
    from schedules.cost import CostModel
    from schedules.units import UnitGraph

RUNNERS_UP = 3
_P95_MS = attrgetter("p95_ms")


@dataclass(frozen=True, slots=True)
class Priced:
    """A plan with its predicted time on one device: the median and what 95 of 100 runs stay in."""

    plan: Plan
    predicted_ms: float
    p95_ms: float


class Choice(NamedTuple):
    """The plan that was picked, its price, and the next best ones that fit or nearly fit.

    `runners_up` fit the budget with less quality, best first; `next_better` is the cheapest plan of
    higher quality and says what more budget would buy, None at the top of the book. `fastest` is
    the fastest of all that were considered.
    """

    picked: Priced
    runners_up: tuple[Priced, ...]
    next_better: Priced | None
    fastest: Priced


class Infeasible(NamedTuple):
    """No plan fits. `minimum_ms` is the smallest budget that would have."""

    minimum_ms: float
    fastest: Priced


def price(plan: Plan, costs: CostModel, margin: float = 1.0, batch: int = 1) -> Priced:
    """Predict what a plan costs; `margin` stretches the 95th percentile."""
    return prices((plan,), costs, margin, batch)[0]


def prices(
    plans: Iterable[Plan], costs: CostModel, margin: float = 1.0, batch: int = 1
) -> list[Priced]:
    """Predict what each plan costs, in their order."""
    stages, stray_ms = costs.at(batch), costs.stray_ms(batch)
    timed = ((p, stages.total_ms(p.steps, p.unit_runs) * costs.drift.median) for p in plans)
    return [Priced(p, ms, (ms + stray_ms) * margin) for p, ms in timed]


def plan(
    budget_ms: float,
    wait_ms: float,
    book: PlanBook,
    costs: CostModel,
    margin: float = 1.0,
    *,
    batch: int = 1,
    min_quality: float = 0.0,
) -> Choice | Infeasible:
    """Pick the plan of best quality whose 95th percentile fits into `budget_ms − wait_ms`.

    More budget never gives worse quality. Plans below `min_quality` are not considered unless the
    book has none above it, in which case the best one counts as the floor.
    """
    return pick(budget_ms, wait_ms, _able(book, costs, margin, batch, min_quality))


def ranked(
    plans: Iterable[Plan], costs: CostModel, margin: float = 1.0, batch: int = 1
) -> list[Priced]:
    """Predict what each plan costs, the best one first."""
    return sorted(prices(plans, costs, margin, batch), key=_worth, reverse=True)


@recalled(64)
def _able(
    book: PlanBook, costs: CostModel, margin: float, batch: int, min_quality: float
) -> list[Priced]:
    floor = min(min_quality, max(p.quality.value for p in book.plans))
    return ranked((p for p in book.plans if p.quality.value >= floor), costs, margin, batch)


def pick(budget_ms: float, wait_ms: float, offers: Sequence[Priced]) -> Choice | Infeasible:
    """Pick from plans that `ranked` gave as `plan` does."""
    quickest = fastest(offers)
    best = (i for i, candidate in enumerate(offers) if wait_ms + candidate.p95_ms <= budget_ms)
    first = next(best, None)
    if first is None:
        return Infeasible(wait_ms + quickest.p95_ms, quickest)
    picked, runners_up = offers[first], tuple(offers[i] for i in islice(best, RUNNERS_UP))
    better = (c for c in offers[:first] if c.plan.quality.value > picked.plan.quality.value)
    return Choice(picked, runners_up, min(better, key=_P95_MS, default=None), quickest)


@recalled(64)
def fastest(offers: Sequence[Priced]) -> Priced:
    """Return what ends first of plans that `ranked` gave."""
    return min(offers, key=_P95_MS)


def _worth(candidate: Priced) -> tuple[float, float]:
    return candidate.plan.quality.value, -candidate.p95_ms


def refit(
    ordered: Plan,
    left_ms: float,
    book: PlanBook,
    costs: CostModel,
    *,
    batch: int = 1,
    min_quality: float = 0.0,
) -> Priced:
    """Return the ordered plan while its median fits into the time left, else the best that does.

    The margin for slow runs was taken when the plan was ordered, and is there to be used up. What
    replaces it fits with its own 95th percentile, or is the fastest there is when none fits. It is
    never better than ordered while the book has lesser plans, and never below `min_quality`.
    """
    asked = price(ordered, costs, batch=batch)
    if asked.predicted_ms <= left_ms:
        return asked
    able = [p for p in book.plans if p.quality.value >= min_quality] or [ordered]
    lesser = [p for p in able if p.quality.value <= ordered.quality.value]
    found = plan(left_ms, 0.0, book.with_plans(lesser or able), costs, batch=batch)
    cheaper = found.fastest if isinstance(found, Infeasible) else found.picked
    return min(asked, cheaper, key=lambda candidate: candidate.p95_ms)


def remaining_ms(
    ran: Plan, book: PlanBook, costs: CostModel, *, batch: int = 1
) -> tuple[float, ...]:
    """Return for each step how long a run still takes after it, to the encoded picture."""
    stage, level = costs.at(batch), costs.drift.median
    tail_ms = stage.decode_ms + stage.png_ms
    steady_ms = _steady_rest_ms(ran, book.graph, stage.unit_ms, stage.fixed_ms, tail_ms)
    return tuple(ms * level for ms in steady_ms)


@recalled(64)
def _steady_rest_ms(
    ran: Plan, graph: UnitGraph, unit_ms: tuple[float, ...], fixed_ms: float, tail_ms: float
) -> tuple[float, ...]:
    rows = [
        fixed_ms + sum(ms for ms, c in zip(unit_ms, row, strict=True) if c)
        for row in ran.schedule.normalised(graph).computes
    ]
    return tuple(tail_ms + sum(rows[s + 1 :]) for s in range(ran.steps))
