"""Which plans stand beside a cached one: what its time buys by other means."""

from __future__ import annotations

import pytest

from app.comparing import compared
from schedules.book import Plan, Quality
from schedules.planner import price
from schedules.rules import all_compute, uniform
from tests.builders import a_book, costs

BOOK, COSTS = a_book(), costs()
GOOD = Quality(BOOK.metric, 1.0)
FULL, CACHED, SHORT = (price(plan, COSTS) for plan in BOOK.plans)


def test_the_others_are_the_longest_that_take_no_more_time() -> None:
    plans = compared(CACHED, BOOK, COSTS)
    for method, rule in (("fewer-steps", all_compute), ("naive", lambda s, g: uniform(s, g, 2))):
        found = plans[method]
        longer = rule(found.plan.steps + 1, BOOK.graph)

        assert found.plan.schedule == rule(found.plan.steps, BOOK.graph)
        assert found.predicted_ms <= CACHED.predicted_ms
        assert COSTS.total_ms(longer.steps, longer.unit_runs) > CACHED.predicted_ms


def test_the_reference_is_the_best_uncached_plan() -> None:
    assert compared(SHORT, BOOK, COSTS)["uncached"] == FULL


def test_without_an_uncached_plan_the_reference_is_the_picked_one_uncached() -> None:
    book = BOOK.with_plans(BOOK.plans[1:])
    reference = compared(CACHED, book, COSTS)["uncached"].plan

    assert reference.schedule == all_compute(CACHED.plan.steps, BOOK.graph)


def test_an_uncached_plan_of_fewer_steps_is_no_reference() -> None:
    one_step = Plan.of(CACHED.plan.solver, "uncached", all_compute(1, BOOK.graph), BOOK.graph, GOOD)
    book = BOOK.with_plans([one_step, *BOOK.plans[1:]])
    reference = compared(CACHED, book, COSTS)["uncached"].plan

    assert reference.schedule == all_compute(CACHED.plan.steps, BOOK.graph)


def test_a_plan_that_the_book_knows_keeps_its_measured_quality() -> None:
    assert compared(FULL, BOOK, COSTS)["fewer-steps"].plan == FULL.plan


@pytest.mark.parametrize("picked", [FULL, CACHED, SHORT])
def test_the_picked_plan_comes_first_as_it_is(picked: object) -> None:
    plans = compared(picked, BOOK, COSTS)  # type: ignore[arg-type]

    assert list(plans) == ["cached", "fewer-steps", "naive", "uncached"]
    assert plans["cached"] is picked
