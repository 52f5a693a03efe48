"""The choice anew, when a job is about to start: less than ordered, or more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schedules.planner import Infeasible, Priced, plan, refit
from schedules.recalling import recalled

if TYPE_CHECKING:
    from schedules.book import Plan, PlanBook
    from schedules.cost import CostModel


# Nobody asked for more than was promised, so going up must not risk the deadline.
AMPLE_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Aim:
    """How good a job may be made: up to `limit`, and better than ordered only with `up`."""

    limit: float = float("inf")
    up: bool = False


def settle(
    ordered: Plan,
    left_ms: float,
    book: PlanBook,
    costs: CostModel,
    aim: Aim,
    *,
    batch: int = 1,
    min_quality: float = 0.0,
    reserved_ms: float = 0.0,
) -> Priced:
    """Return what runs for an order in the time left: what `refit` would, within the aim.

    A limit below the order steps down to the best plan within it, but not below `min_quality`. With
    `up`, the best plan is taken whose 95th percentile leaves `reserved_ms` and a tenth of the time
    free, where it is better than the ordered one.
    """
    within = limited(book, aim.limit, min_quality)
    if ordered.quality.value > aim.limit:
        return best(left_ms, within, costs, batch, min_quality)
    if aim.up:
        ample_ms = AMPLE_SHARE * left_ms - reserved_ms
        better = best(ample_ms, within, costs, batch, min_quality)
        if better.p95_ms <= ample_ms and better.plan.quality.value > ordered.quality.value:
            return better
    return refit(ordered, left_ms, book, costs, batch=batch, min_quality=min_quality)


def limited(book: PlanBook, limit: float, min_quality: float = 0.0) -> PlanBook:
    """Return the book without plans above a limit, but with the least that `min_quality` allows."""
    return _limited(book, limit, min_quality)


@recalled(64)
def _limited(book: PlanBook, limit: float, min_quality: float) -> PlanBook:
    able = [p for p in book.plans if p.quality.value >= min_quality] or list(book.plans)
    least = min(p.quality.value for p in able)
    within = [p for p in able if p.quality.value <= max(limit, least)]
    return book if len(within) == len(book.plans) else book.with_plans(within)


def best(
    left_ms: float, book: PlanBook, costs: CostModel, batch: int, min_quality: float
) -> Priced:
    """Return the best plan of a book that fits the time left, else its fastest."""
    found = plan(left_ms, 0.0, book, costs, batch=batch, min_quality=min_quality)
    return found.fastest if isinstance(found, Infeasible) else found.picked
