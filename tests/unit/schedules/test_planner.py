from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schedules.book import Plan, PlanBook, Quality
from schedules.cost import CostModel, Drift
from schedules.planner import Choice, Infeasible, plan, price, refit, remaining_ms
from schedules.rules import all_compute
from tests.builders import METRIC, a_book, a_graph, costs
from tests.strategies import books, cost_models

BOOKS_WITH_COSTS = books().flatmap(lambda b: st.tuples(st.just(b), cost_models(len(b.graph))))
BUDGETS = st.floats(0, 20_000)


def chosen(
    budget_ms: float, wait_ms: float = 0.0, margin: float = 1.0, min_quality: float = 0.0
) -> Choice:
    found = plan(budget_ms, wait_ms, a_book(), costs(), margin, min_quality=min_quality)
    assert isinstance(found, Choice)
    return found


def quality(budget_ms: float, book: PlanBook, model: CostModel) -> float:
    found = plan(budget_ms, 0.0, book, model)
    return found.picked.plan.quality.value if isinstance(found, Choice) else -math.inf


def test_the_best_plan_that_fits_is_picked() -> None:
    roomy, tight = chosen(10_000), chosen(60)

    assert roomy.picked.plan.quality.value == 1.0
    assert tight.picked.plan.quality.value < 1.0


def test_waiting_takes_from_the_budget() -> None:
    best = chosen(10_000).picked

    assert chosen(best.p95_ms).picked == best
    assert chosen(best.p95_ms + 5, wait_ms=10).picked.plan.quality.value < 1.0


def test_the_margin_stretches_what_must_fit() -> None:
    best = chosen(10_000).picked

    assert chosen(best.p95_ms, margin=1.2).picked.plan.quality.value < 1.0


def test_an_infeasible_budget_says_the_smallest_feasible_one() -> None:
    found = plan(1.0, 50.0, a_book(), costs())

    assert isinstance(found, Infeasible)
    assert found.fastest.plan.quality.value == 0.6
    assert found.minimum_ms == 50.0 + found.fastest.p95_ms


def test_a_quality_floor_refuses_poorer_plans() -> None:
    found = plan(30.0, 0.0, a_book(), costs(), min_quality=0.8)

    assert isinstance(found, Infeasible)
    assert found.fastest.plan.quality.value == 0.9


def test_a_floor_above_the_book_is_its_best_plan() -> None:
    assert chosen(10_000, min_quality=2.0).picked.plan.quality.value == 1.0


def test_the_runners_up_fit_and_the_next_better_does_not() -> None:
    best = chosen(10_000)
    second = chosen(best.picked.p95_ms * 0.99)

    assert [r.plan.quality.value for r in best.runners_up] == [0.9, 0.6]
    assert best.next_better is None
    assert second.next_better == best.picked


def test_a_larger_batch_costs_more() -> None:
    one, four = (price(a_book().plans[0], costs(), batch=batch) for batch in (1, 4))

    assert four.predicted_ms == pytest.approx(2.5 * one.predicted_ms)


def test_an_ordered_plan_that_still_fits_is_kept() -> None:
    ordered = a_book().plans[1]

    assert refit(ordered, 10_000, a_book(), costs()).plan is ordered


def test_an_ordered_plan_that_no_longer_fits_gives_way_to_a_lesser_one() -> None:
    book = a_book()
    left_ms = price(book.plans[2], costs()).p95_ms

    assert refit(book.plans[0], left_ms, book, costs()).plan is book.plans[2]


def test_when_nothing_fits_the_fastest_runs() -> None:
    book = a_book()

    assert refit(book.plans[0], 0.0, book, costs()).plan is book.plans[2]


def test_an_ordered_plan_faster_than_the_whole_book_stays_when_nothing_fits() -> None:
    graph = a_graph()
    quick = Plan.of("ddim", "full", all_compute(1, graph), graph, Quality(METRIC, 0.1))

    assert refit(quick, 0.0, a_book(), costs()).plan is quick


def test_what_remains_and_what_is_done_make_the_whole() -> None:
    book, model = a_book(), costs().drifted(Drift(1.5, 2.0))
    for asked in book.plans:
        stage = model.at(2)
        first_ms = (stage.encode_ms + stage.start_ms + stage.full_step_ms) * 1.5
        whole_ms = model.total_ms(asked.steps, asked.unit_runs, 2)

        assert first_ms + remaining_ms(asked, book, model, batch=2)[0] == pytest.approx(whole_ms)


def test_after_the_last_step_the_picture_remains() -> None:
    book, model = a_book(), costs()
    stage = model.at(1)

    left = remaining_ms(book.plans[0], book, model)
    assert left[-1] == pytest.approx(stage.decode_ms + stage.png_ms)
    assert len(left) == book.plans[0].steps


@given(BOOKS_WITH_COSTS)
def test_what_remains_never_grows(case: tuple[PlanBook, CostModel]) -> None:
    book, model = case
    for asked in book.plans:
        assert all(a >= b - 1e-6 for a, b in pairwise(remaining_ms(asked, book, model)))


@given(BOOKS_WITH_COSTS, BUDGETS, BUDGETS)
def test_more_budget_never_gives_worse_quality(
    case: tuple[PlanBook, CostModel], one_ms: float, other_ms: float
) -> None:
    less_ms, more_ms = sorted((one_ms, other_ms))

    assert quality(more_ms, *case) >= quality(less_ms, *case)


@given(BOOKS_WITH_COSTS, BUDGETS, st.floats(0, 1000))
def test_what_is_picked_fits_with_its_wait(
    case: tuple[PlanBook, CostModel], budget_ms: float, wait_ms: float
) -> None:
    found = plan(budget_ms, wait_ms, *case)
    assume(isinstance(found, Choice))

    assert isinstance(found, Choice)
    assert wait_ms + found.picked.p95_ms <= budget_ms


@given(BOOKS_WITH_COSTS, st.floats(0, 1000))
def test_exactly_the_smallest_feasible_budget_is_feasible(
    case: tuple[PlanBook, CostModel], wait_ms: float
) -> None:
    found = plan(-1.0, wait_ms, *case)

    assert isinstance(found, Infeasible)
    assert isinstance(plan(found.minimum_ms, wait_ms, *case), Choice)
    assert isinstance(plan(math.nextafter(found.minimum_ms, -1), wait_ms, *case), Infeasible)


@given(BOOKS_WITH_COSTS, st.floats(0, 20_000))
def test_a_refit_is_never_better_than_ordered_nor_slower(
    case: tuple[PlanBook, CostModel], left_ms: float
) -> None:
    book, model = case
    for ordered in book.plans:
        found = refit(ordered, left_ms, book, model)

        assert found.plan.quality.value <= ordered.quality.value
        assert found.p95_ms <= max(left_ms, price(ordered, model).p95_ms)
