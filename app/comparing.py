"""Which plans are worth looking at beside a cached one: what its time buys by other means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schedules.book import Plan, Quality
from schedules.planner import Priced, price
from schedules.rules import all_compute, uniform

if TYPE_CHECKING:
    from collections.abc import Callable

    from schedules.book import PlanBook
    from schedules.cost import CostModel
    from schedules.schedule import Schedule

MOST_STEPS = 100
NAIVE_INTERVAL = 2
UNMEASURED = 0.0


def compared(picked: Priced, book: PlanBook, costs: CostModel) -> dict[str, Priced]:
    """Return the plans to compare by what they are, the picked one first.

    `fewer-steps` and `naive` are the longest that take no more time than the picked plan: uncached,
    and with every second step reusing whatever it can. `uncached` is the best plan without a cache,
    of as many steps or more, and takes the time it takes.
    """
    graph, solver = book.graph, picked.plan.solver

    def longest(rule: str, table: Callable[[int], Schedule]) -> Priced:
        found = price(_plan(solver, rule, table(1), book), costs)
        for steps in range(2, MOST_STEPS + 1):
            longer = price(_plan(solver, rule, table(steps), book), costs)
            if longer.predicted_ms > picked.predicted_ms:
                break
            found = longer
        return found

    return {
        "cached": picked,
        "fewer-steps": longest("uncached", lambda steps: all_compute(steps, graph)),
        "naive": longest(
            f"uniform-{NAIVE_INTERVAL}", lambda steps: uniform(steps, graph, NAIVE_INTERVAL)
        ),
        "uncached": price(_reference(picked.plan, book), costs),
    }


def _reference(picked: Plan, book: PlanBook) -> Plan:
    """Return the best uncached plan of the book, else the picked one without its cache.

    One of fewer steps than were picked would be no reference: a book has it because it is fast.
    """
    able = [plan for plan in book.plans if _is_uncached(plan) and plan.steps >= picked.steps]
    if able:
        return max(able, key=lambda plan: plan.quality.value)
    return _plan(picked.solver, "uncached", all_compute(picked.steps, book.graph), book)


def _is_uncached(plan: Plan) -> bool:
    return plan.counts.reused == plan.counts.skipped == 0


def _plan(solver: str, rule: str, schedule: Schedule, book: PlanBook) -> Plan:
    """Return a plan, with its measured quality where the book happens to know it."""
    made = Plan.of(solver, rule, schedule, book.graph, Quality(book.metric, UNMEASURED))
    known = (plan for plan in book.plans if _same(plan, made))
    return next(known, made)


def _same(known: Plan, made: Plan) -> bool:
    work = known.solver, known.schedule, known.correction
    return work == (made.solver, made.schedule, None)
