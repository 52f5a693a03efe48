"""How much work two pictures of one plan share, by how many steps lie between them."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from tests.stepwise.runs import Price

if TYPE_CHECKING:
    from schedules.book import Plan, PlanBook
    from schedules.cost import CostModel


def saved(plan: Plan, price: Price, behind: int) -> float:
    """Return which share of the steps of two is saved if one is `behind` the other."""
    rows = price.rows(plan)
    alone_ms = [price.step_ms([row]) for row in rows]
    pairs = [(s, s + behind) for s in range(len(rows) - behind)]
    apart_ms = sum(alone_ms[a] + alone_ms[b] for a, b in pairs)
    together_ms = sum(price.step_ms([rows[a], rows[b]]) for a, b in pairs)
    return (apart_ms - together_ms) / (2 * sum(alone_ms))


def savings(book: PlanBook, costs: CostModel) -> tuple[float, float, float]:
    """Return what is saved in step, by joining at any other step, and that ragged.

    Means over the frontier of the book and over all steps that the second can join at.
    """
    alike, ragged = Price(book, costs, 2), Price(book, costs, 2, ragged=True)
    plans = book.frontier(costs)
    in_step = fmean(saved(plan, alike, 0) for plan in plans)
    joined, most = (
        fmean(fmean(saved(plan, price, n) for n in range(1, plan.steps)) for plan in plans)
        for price in (alike, ragged)
    )
    return in_step, joined, most
