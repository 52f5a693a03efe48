"""Admission promises only what it can keep."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from app.admission import (
    Admit,
    Ask,
    Load,
    Nobody,
    Overhead,
    Queued,
    TooGood,
    TooSmall,
    admit,
    expected_wait_ms,
)
from app.contract.ports import Backlog
from schedules.cost import Drift
from schedules.planner import price
from tests.builders import a_book, a_card, costs

if TYPE_CHECKING:
    from app.contract.cards import WorkerCard

NOW = 1_000_000
BOOK = a_book()

milliseconds = st.floats(0, 5000, allow_nan=False)


@st.composite
def cards(draw: st.DrawFn) -> list[WorkerCard]:
    number = draw(st.integers(1, 4))
    steps = st.floats(1, 200, allow_nan=False)
    return [
        a_card(
            f"worker-{n}",
            costs=costs(step_ms=draw(steps)),
            busy_until_unix_ms=NOW + draw(st.integers(-1000, 2000)),
        )
        for n in range(number)
    ]


loads = st.builds(
    lambda cards, work_ms, overhead_ms: Load(cards, Backlog(1, work_ms), NOW, overhead_ms),
    cards(),
    milliseconds,
    st.floats(0, 50, allow_nan=False),
)
images = st.integers(1, 8)


def idle(*cards: WorkerCard) -> Load:
    return Load(cards or (a_card(),), Backlog(0, 0.0), NOW, 5.0)


def quality(verdict: object) -> float:
    return verdict.choice.picked.plan.quality.value if isinstance(verdict, Admit) else -1.0


@given(load=loads, budget_ms=milliseconds, images=images)
def test_an_admitted_plan_fits_with_wait_and_overhead(
    load: Load, budget_ms: float, images: int
) -> None:
    verdict = admit(Ask(budget_ms, images), BOOK, load)

    if isinstance(verdict, Admit):
        picked = verdict.choice.picked
        needed_ms = picked.p95_ms if verdict.wait_ms else picked.predicted_ms
        assert verdict.wait_ms + load.overhead_ms + needed_ms <= budget_ms + 1e-6


def test_with_nobody_waiting_a_budget_above_the_fastest_median_is_tried() -> None:
    uneven = idle(a_card(costs=costs().drifted(Drift(1.0, 1.5))))
    safe = admit(Ask(10_000), BOOK, uneven)
    assert isinstance(safe, Admit)
    fastest_ms = price(BOOK.plans[2], costs()).predicted_ms
    median_ms = math.ceil(uneven.overhead_ms + fastest_ms)

    tried = admit(Ask(median_ms), BOOK, uneven)

    assert isinstance(tried, Admit)
    assert tried.choice.picked.plan is BOOK.plans[2]
    assert tried.minimum_ms == safe.minimum_ms > median_ms
    assert admit(Ask(median_ms - 1), BOOK, uneven) == TooSmall(safe.minimum_ms)


def test_a_budget_that_fits_with_the_usual_overhead_is_tried() -> None:
    load = replace(idle(), overhead_ms=20.0, overhead_stray_ms=15.0)
    usual_ms = math.ceil(5.0 + price(BOOK.plans[2], costs()).predicted_ms)

    assert isinstance(admit(Ask(usual_ms), BOOK, load), Admit)
    assert isinstance(admit(Ask(usual_ms - 1), BOOK, load), TooSmall)


def test_with_others_waiting_the_high_end_must_fit() -> None:
    busy = a_card(costs=costs().drifted(Drift(1.0, 1.5)), busy_until_unix_ms=NOW + 100)
    fastest_ms = price(BOOK.plans[2], costs()).predicted_ms

    assert isinstance(admit(Ask(110 + fastest_ms), BOOK, idle(busy)), Queued)


@given(load=loads, budgets=st.tuples(milliseconds, milliseconds), images=images)
def test_more_budget_never_gives_worse_quality(
    load: Load, budgets: tuple[float, float], images: int
) -> None:
    small_ms, large_ms = sorted(budgets)

    small = admit(Ask(small_ms, images), BOOK, load)
    large = admit(Ask(large_ms, images), BOOK, load)

    assert quality(large) >= quality(small)


@given(load=loads, budget_ms=milliseconds, images=images)
def test_the_minimum_that_is_told_would_be_admitted(
    load: Load, budget_ms: float, images: int
) -> None:
    verdict = admit(Ask(budget_ms, images), BOOK, load)

    if isinstance(verdict, Queued | Admit):
        assert isinstance(admit(Ask(verdict.minimum_ms, images), BOOK, load), Admit)
    elif isinstance(verdict, TooSmall):
        calm = Load(
            [card.copy(busy_until_unix_ms=0) for card in load.cards],
            Backlog(0, 0.0),
            NOW,
            load.overhead_ms,
        )
        assert isinstance(admit(Ask(verdict.minimum_ms, images), BOOK, calm), Admit)


@given(load=loads, budget_ms=milliseconds)
def test_too_small_is_said_only_where_an_idle_fleet_refuses_too(
    load: Load, budget_ms: float
) -> None:
    calm = Load(
        [c.copy(busy_until_unix_ms=0) for c in load.cards], Backlog(0, 0.0), NOW, load.overhead_ms
    )
    if isinstance(admit(Ask(budget_ms), BOOK, load), TooSmall):
        assert isinstance(admit(Ask(budget_ms), BOOK, calm), TooSmall)


def test_nobody_can_promise_nothing() -> None:
    assert admit(Ask(1000), BOOK, Load((), Backlog(0, 0.0), NOW, 0.0)) == Nobody()


def test_the_queue_is_worked_off_by_each_worker_from_when_it_is_free() -> None:
    cards = [
        a_card("a", busy_until_unix_ms=NOW + 300),
        a_card("b", busy_until_unix_ms=NOW + 100),
    ]

    # 200 ms of it are done by b alone, 300 by both.
    load = Load(cards, Backlog(3, 500.0), NOW, 0.0)
    assert expected_wait_ms(load, cards[1], None) == 100 + 200 + 150


def test_a_worker_that_should_have_finished_is_free_now() -> None:
    late = a_card(busy_until_unix_ms=NOW - 500)

    assert expected_wait_ms(idle(late), late, None) == 0


def test_of_idle_workers_the_slowest_must_manage() -> None:
    slow = a_card("slow", costs=costs(step_ms=100.0))
    verdict = admit(Ask(10_000), BOOK, idle(a_card("fast"), slow))

    assert isinstance(verdict, Admit)
    assert verdict.card.worker == "slow"


def test_a_busy_slow_worker_does_not_hold_back_a_free_fast_one() -> None:
    slow = a_card("slow", costs=costs(step_ms=100.0), busy_until_unix_ms=NOW + 60_000)
    verdict = admit(Ask(200), BOOK, idle(a_card("fast"), slow))

    assert isinstance(verdict, Admit)
    assert verdict.card.worker == "fast"


def test_only_the_queue_in_the_way_means_come_back_later() -> None:
    busy = a_card(busy_until_unix_ms=NOW + 4_500)
    verdict = admit(Ask(1000), BOOK, idle(busy))

    assert isinstance(verdict, Queued)
    assert verdict.retry_after_s == 4
    assert verdict.minimum_ms > 4_500


def test_a_quality_nobody_has_names_the_best() -> None:
    modest = BOOK.with_plans(BOOK.plans[1:])
    verdict = admit(Ask(10_000, min_quality=0.95), modest, idle())

    assert verdict == TooGood(modest.plans[0].quality)


def test_a_quality_floor_raises_the_smallest_budget() -> None:
    poor, good = (admit(Ask(1, min_quality=q), BOOK, idle()) for q in (0.0, 1.0))

    assert isinstance(poor, TooSmall)
    assert isinstance(good, TooSmall)
    assert good.minimum_ms > poor.minimum_ms


def test_overhead_starts_small_and_ignores_a_few_slow_answers() -> None:
    overhead = Overhead(8.0)
    for _ in range(3):
        overhead.observe(500.0)

    assert overhead.p95_ms == 8.0


def test_overhead_follows_many_slow_answers() -> None:
    overhead = Overhead(8.0)
    for _ in range(4):
        overhead.observe(500.0)

    assert overhead.p95_ms == 500.0
    assert overhead.stray_ms == 492.0


def test_refusals_bring_a_frightened_overhead_back() -> None:
    overhead = Overhead(8.0)
    for _ in range(64):
        overhead.observe(500.0)
    for _ in range(64):
        overhead.relax()

    assert overhead.p95_ms == 8.0
