"""Plan books and jobs for tiny models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.contract.jobs import PlanOrder
from schedules.book import Plan, PlanBook, Quality
from schedules.cost import CostModel, StageCosts
from schedules.planner import price
from schedules.rules import all_compute, deepcache, uniform
from tests.builders import METRIC, a_job

if TYPE_CHECKING:
    from app.contract.jobs import Job
    from workers.pipeline import Model


def costs_for(model: Model, unit_ms: float = 0.01, more: float = 1.0) -> CostModel:
    """Return costs that were never measured: every unit takes `unit_ms`, the rest nothing.

    Each further picture of a batch adds `more` times that.
    """

    def stages(batch: int) -> StageCosts:
        units = (unit_ms * (1 + more * (batch - 1)),) * len(model.units.graph)
        return StageCosts(0.0, 0.0, 0.0, units, 0.0, 0.0)

    return CostModel(tuple((batch, stages(batch)) for batch in (1, 2)))


def book_for(model: Model, steps: int = 4) -> PlanBook:
    """Return three plans, best first: uncached, every second step, and half the steps deeply."""
    graph = model.units.graph
    tables = {
        "uncached": (all_compute(steps, graph), 1.0),
        "uniform-2": (uniform(steps, graph, 2), 0.9),
        "deepcache-2": (deepcache(max(steps // 2, 1), graph, 2), 0.5),
    }
    plans = tuple(
        Plan.of("ddim", rule, table, graph, Quality(METRIC, quality))
        for rule, (table, quality) in tables.items()
    )
    side = model.native_size
    return PlanBook(model.name, model.revision, side, side, METRIC, graph, plans)


def job_for(model: Model, ordered: Plan, **changes: Any) -> Job:
    """Return a job of a model's own size by a plan."""
    fields: dict[str, Any] = {
        "model": model.name,
        "revision": model.revision,
        "width": model.native_size,
        "height": model.native_size,
        "plan": PlanOrder.of(price(ordered, costs_for(model))),
    }
    return a_job(**{**fields, **changes})
