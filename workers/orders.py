"""Which plans jobs bring."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from schedules.book import Plan, Quality
from schedules.errors import InvalidSchedule

if TYPE_CHECKING:
    from app.contract.jobs import PlanOrder
    from schedules.book import PlanBook

MOST = 256


def ordered_plan(order: PlanOrder, book: PlanBook) -> Plan:
    """Return the plan a job brings; raises InvalidSchedule when it is for another UNet."""
    if order.units != len(book.graph):
        raise InvalidSchedule(
            f"the plan is for {order.units} units, this model has {len(book.graph)}"
        )
    quality = Quality(order.metric, order.quality)
    plan = Plan.of(order.solver, order.rule, order.schedule(), book.graph, quality)
    return replace(plan, correction=order.correction)


class Orders:
    """Plans by the orders for them: to read a plan's table takes longer than all else about it."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._read: dict[PlanOrder, Plan] = {}

    def plan_of(self, order: PlanOrder, book: PlanBook) -> Plan:
        """Return what `ordered_plan` does, for the one book of a worker."""
        plan = self._read.get(order)
        if plan is None:
            plan = ordered_plan(order, book)
            if len(self._read) >= self._most:
                self._read.clear()
            self._read[order] = plan
        return plan
