"""At its start a job is stepped down, or up, as the aim and the time left say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schedules.planner import price, refit
from schedules.replanning import Aim, limited, settle
from tests.builders import a_book, costs

BOOK, COSTS = a_book(), costs()
FULL, CACHED, FAST = BOOK.plans
AMPLE_MS = 10_000.0


@given(left_ms=st.floats(-100, 500), ordered=st.sampled_from(BOOK.plans))
def test_without_an_aim_what_runs_is_what_refit_says(left_ms: float, ordered: object) -> None:
    plan = next(plan for plan in BOOK.plans if plan is ordered)
    expected = refit(plan, left_ms, BOOK, COSTS)

    assert settle(plan, left_ms, BOOK, COSTS, Aim()) == expected


def test_a_limit_steps_down_to_the_best_within_it() -> None:
    assert settle(FULL, AMPLE_MS, BOOK, COSTS, Aim(limit=0.95)).plan is CACHED


def test_a_limit_never_goes_below_the_floor() -> None:
    assert settle(FULL, AMPLE_MS, BOOK, COSTS, Aim(limit=0.5), min_quality=0.9).plan is CACHED


def test_a_job_goes_up_to_the_best_that_fits() -> None:
    assert settle(FAST, AMPLE_MS, BOOK, COSTS, Aim(up=True)).plan is FULL


def test_a_job_goes_up_no_further_than_the_limit() -> None:
    assert settle(FAST, AMPLE_MS, BOOK, COSTS, Aim(limit=0.9, up=True)).plan is CACHED


def test_going_up_leaves_a_tenth_of_the_time_free_and_what_is_reserved() -> None:
    left_ms = price(FULL, COSTS).p95_ms / 0.9 + 0.1

    assert settle(CACHED, left_ms, BOOK, COSTS, Aim(up=True)).plan is FULL
    assert settle(CACHED, left_ms - 1, BOOK, COSTS, Aim(up=True)).plan is CACHED
    assert settle(CACHED, left_ms, BOOK, COSTS, Aim(up=True), reserved_ms=1).plan is CACHED


def test_going_up_never_makes_worse_what_already_fits() -> None:
    left_ms = price(FULL, COSTS).predicted_ms

    assert settle(FULL, left_ms, BOOK, COSTS, Aim(up=True)).plan is FULL


def test_a_limit_below_all_plans_leaves_the_least() -> None:
    assert limited(BOOK, 0.1).plans == (FAST,)
