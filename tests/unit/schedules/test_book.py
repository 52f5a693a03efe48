from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from schedules.book import Plan, PlanBook, Quality
from schedules.errors import InvalidBook, InvalidSchedule
from schedules.rules import all_compute, deepcache
from schedules.schedule import Schedule
from tests.builders import METRIC, a_book, a_graph, a_unet_graph, costs
from tests.strategies import books


def a_plan(quality: float, steps: int, rule: str = "full") -> Plan:
    graph = a_graph()
    return Plan.of("ddim", rule, all_compute(steps, graph), graph, Quality(METRIC, quality))


def test_a_plan_counts_how_often_each_unit_runs() -> None:
    graph = a_unet_graph()
    plan = Plan.of("ddim", "deepcache", deepcache(4, graph, 2), graph, Quality(METRIC, 1.0))

    assert plan.unit_runs == (4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 4)
    assert plan.counts.computed == sum(plan.unit_runs)


def test_a_plan_drops_computes_nobody_reads() -> None:
    graph = a_unet_graph()
    wasteful = Schedule(((True,) * 11, tuple(u != 9 for u in range(11))))
    plan = Plan.of("ddim", "cut", wasteful, graph, Quality(METRIC, 1.0))

    assert plan.schedule == wasteful.normalised(graph) != wasteful


def test_a_plan_for_another_unet_is_refused() -> None:
    with pytest.raises(InvalidSchedule, match="5 units, the UNet 11"):
        Plan.of("ddim", "full", all_compute(2, a_graph()), a_unet_graph(), Quality(METRIC, 1))


def test_a_plan_is_named_for_solver_steps_and_rule() -> None:
    assert a_plan(1.0, 4, "uniform-2").name == "ddim-4-uniform-2"


def test_a_book_without_plans_is_refused() -> None:
    with pytest.raises(InvalidBook, match="at least one plan"):
        a_book().with_plans([])


def test_a_corrected_plan_says_so_in_its_name() -> None:
    plan = a_book().plans[1]

    assert replace(plan, correction="1234").name == f"{plan.name}-corrected"


def test_the_frontier_rises_in_time_and_quality() -> None:
    best = a_book().frontier(costs())

    assert [plan.quality.value for plan in best] == [0.6, 0.9, 1.0]


def test_a_dearer_plan_of_equal_quality_is_not_on_the_frontier() -> None:
    cheap, dear = a_plan(0.5, 4), a_plan(0.5, 8)

    assert a_book().with_plans([dear, cheap]).frontier(costs()) == (cheap,)


def test_of_two_plans_of_one_price_the_better_is_on_the_frontier() -> None:
    poor, good = a_plan(0.4, 4, "poor"), a_plan(0.6, 4, "good")

    assert a_book().with_plans([poor, good]).frontier(costs()) == (good,)


def test_the_digest_names_exactly_this_book() -> None:
    book = a_book()

    assert book.digest == a_book().digest
    assert book.digest != replace(book, revision="r2").digest
    assert book.digest != book.with_plans(book.plans[:2]).digest


def test_what_a_plan_was_measured_at_survives_json() -> None:
    measured = replace(a_plan(0.9, 4), measured={"psnr_db": 31.0}, correction="fit")
    book = replace(a_book().with_plans([measured]), made={"torch": "2"})

    assert PlanBook.from_dict(json.loads(json.dumps(book.to_dict()))) == book


@given(books())
def test_a_book_survives_json(book: PlanBook) -> None:
    read = PlanBook.from_dict(json.loads(json.dumps(book.to_dict())))

    assert read == book
    assert read.digest == book.digest


def broken(**changes: Any) -> dict[str, Any]:
    return {**a_book().to_dict(), **changes}


def broken_plan(**changes: Any) -> dict[str, Any]:
    return broken(plans=[{**a_book().plans[0].to_dict(), **changes}])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "format None"),
        (broken(format=2), "format 2; this version reads 1"),
        (broken(plans=[]), "at least one plan"),
        (broken(plans=[{}]), "table"),
        (broken(graph={"units": []}), "feeds"),
        (broken(graph={"units": [["a", "b"]], "feeds": [[]], "sinks": []}), "'b'"),
        (broken_plan(table="zz"), "not a schedule table"),
        (broken_plan(table="1f.fff"), "more than 5 units"),
        (broken_plan(table="1.1"), "step 0"),
        (broken_plan(table=7), "int"),
    ],
)
def test_a_book_that_cannot_be_read_says_why(data: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidBook, match=says):
        PlanBook.from_dict(data)
