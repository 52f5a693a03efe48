"""One ceiling for all: whoever can be kept is kept, more load never helps, equals get the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.cost import Drift
from schedules.ladder import Ladder
from schedules.planner import prices
from schedules.sharing import Arrival, Crew, Crowd, Room, Waiting, ceiling, expected, kept
from tests import bundled
from tests.builders import a_book, costs

IDLE = Crew((0.0,), (1.0,))

milliseconds = st.floats(0, 5000, allow_nan=False)
qualities = st.floats(0, 1, allow_nan=False)


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    rungs, sizes = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    lone = sorted(draw(st.lists(st.floats(5, 500), min_size=rungs, max_size=rungs)))
    growth = draw(st.floats(0.1, 1.2))
    rows = [tuple(ms * (1 + growth * b) for b in range(sizes)) for ms in lone]
    return Ladder.measured([(r + 1) / rungs for r in range(rungs)], rows)


@st.composite
def crews(draw: st.DrawFn) -> Crew:
    number = draw(st.integers(1, 3))
    free = [draw(st.floats(0, 1000)) for _ in range(number)]
    return Crew(tuple(free), tuple(draw(st.floats(0.2, 3)) for _ in range(number)))


floors = st.sampled_from([0, 0, 0.5])
jobs = st.builds(Waiting, milliseconds, st.integers(1, 3), qualities, floors, st.none())
lines = st.lists(jobs, max_size=8)


@given(ladder=ladders(), crew=crews(), line=lines)
def test_all_that_can_be_kept_are_kept(ladder: Ladder, crew: Crew, line: list[Waiting]) -> None:
    found = ceiling(line, ladder, crew)

    assert kept(line, ladder, crew, found) >= kept(line, ladder, crew, 0)


@given(ladder=ladders(), crew=crews(), line=lines)
def test_no_higher_ceiling_would_keep_them(ladder: Ladder, crew: Crew, line: list[Waiting]) -> None:
    found = ceiling(line, ladder, crew)

    if found < ladder.top:
        assert not kept(line, ladder, crew, found + 1) >= kept(line, ladder, crew, 0)


@given(ladder=ladders(), crew=crews(), line=lines, one_more=jobs, factor=st.floats(1, 50))
def test_where_it_is_clear_that_all_are_in_time_they_are(
    ladder: Ladder, crew: Crew, line: list[Waiting], one_more: Waiting, factor: float
) -> None:
    line = [one._replace(left_ms=one.left_ms * factor) for one in line]

    if Crowd(tuple(line), (), ladder).is_clear_for(crew, one_more):
        everyone = [*line, one_more]
        assert kept(everyone, ladder, crew, ladder.top) == frozenset(range(len(everyone)))


@given(ladder=ladders(), crew=crews(), line=lines, one_more=jobs)
def test_one_more_who_fits_beside_the_others_never_raises_the_ceiling(
    ladder: Ladder, crew: Crew, line: list[Waiting], one_more: Waiting
) -> None:
    room = Room(Crowd(tuple(line), (), ladder), crew)

    if room.has_place_for(one_more):
        assert room.ceiling_with(one_more) <= ceiling(line, ladder, crew)


@given(ladder=ladders(), crew=crews(), line=lines, longer_ms=milliseconds)
def test_busier_workers_keep_nobody_more(
    ladder: Ladder, crew: Crew, line: list[Waiting], longer_ms: float
) -> None:
    busier = crew._replace(free_ms=tuple(ms + longer_ms for ms in crew.free_ms))

    assert kept(line, ladder, busier, 0) <= kept(line, ladder, crew, 0)


@given(ladder=ladders(), line=lines, twin=jobs)
def test_who_has_the_same_promise_gets_the_same(
    ladder: Ladder, line: list[Waiting], twin: Waiting
) -> None:
    everyone = [twin, *line, twin._replace(left_ms=twin.left_ms + 1)]
    found = ceiling(everyone, ladder, IDLE)
    rungs = {
        max(min(found, job.highest(ladder)), job.lowest(ladder))
        for job in (everyone[0], everyone[-1])
    }

    assert len(rungs) == 1


@given(ladder=ladders(), line=lines)
def test_nobody_is_made_below_the_own_floor(ladder: Ladder, line: list[Waiting]) -> None:
    assert all(ladder.qualities[job.lowest(ladder)] >= job.floor for job in line)


@given(ladder=ladders(), crew=crews())
def test_nobody_waiting_means_no_ceiling(ladder: Ladder, crew: Crew) -> None:
    assert ladder.limit(ceiling([], ladder, crew)) == float("inf")


@given(crew=crews(), works=st.tuples(milliseconds, milliseconds))
def test_more_work_is_never_done_earlier(crew: Crew, works: tuple[float, float]) -> None:
    less, more = sorted(works)

    assert crew.after(less) <= crew.after(more)
    assert crew.after(0.0) == min(crew.free_ms)


def test_a_fast_worker_does_more_of_the_work() -> None:
    assert Crew((0.0, 0.0), (3.0, 1.0)).after(400.0) == 100.0


def test_two_tight_deadlines_lower_the_ceiling_for_both() -> None:
    ladder = Ladder.measured([0.5, 0.8, 1.0], [(100.0,), (200.0,), (400.0,)])

    assert ceiling([Waiting(400.0)], ladder, IDLE) == 2
    assert ceiling([Waiting(400.0), Waiting(400.0)], ladder, IDLE) == 1


def test_batches_let_more_be_kept_at_the_same_rung() -> None:
    alone = Ladder.measured([0.5, 1.0], [(100.0,), (200.0,)])
    batched = Ladder.measured([0.5, 1.0], [(100.0, 110.0), (200.0, 220.0)])
    four = [Waiting(600.0)] * 4

    assert ceiling(four, alone, IDLE) == 0
    assert ceiling(four, batched, IDLE) == 1


def test_who_cannot_be_in_time_any_more_takes_nothing_from_the_others() -> None:
    ladder = Ladder.measured([0.5, 1.0], [(100.0,), (200.0,)])
    late = [Waiting(50.0)] * 5

    assert kept([*late, Waiting(200.0)], ladder, IDLE, 1) == {5}


def test_a_newcomer_who_would_make_another_late_has_no_place() -> None:
    ladder = Ladder.measured([1.0], [(100.0,)])
    room = Room(Crowd((Waiting(150.0),), (), ladder), IDLE)

    assert not room.has_place_for(Waiting(120.0))
    assert room.has_place_for(Waiting(250.0))


def test_those_who_came_of_late_are_expected_once_more() -> None:
    came = [Arrival(age_ms, 1, 1000.0) for age_ms in (400.0, 300.0, 200.0, 100.0)]

    assert [job.left_ms for job in expected(came)] == [1100.0, 1200.0, 1300.0, 1400.0]


def test_a_few_who_met_others_tell_nothing() -> None:
    one_by_one = [Arrival(10.0, 1, 1000.0, met_others=False)] * 20

    assert expected([*one_by_one, *[Arrival(10.0, 1, 1000.0)] * 3]) == []
    assert len(expected([*one_by_one, *[Arrival(10.0, 1, 1000.0)] * 4])) == 24


def test_a_ladder_spans_the_frontier_in_strides() -> None:
    book = bundled.book()
    measured = bundled.costs()
    ladder = Ladder.of(book, measured, 4)
    frontier = book.frontier(measured)
    lone = [row[0] for row in ladder.batch_ms]

    assert len(frontier) / 2 > len(lone) >= 8
    assert ladder.qualities[0] == frontier[0].quality.value
    assert ladder.qualities[-1] == frontier[-1].quality.value
    assert all(2 * low > high for low, high in pairwise(lone))


def test_a_rung_costs_what_its_plan_does_in_every_batch() -> None:
    book = a_book()
    ladder = Ladder.of(book, costs(), 3)

    for size in (1, 2, 3):
        offers = {o.plan.quality.value: o.p95_ms for o in prices(book.plans, costs(), batch=size)}
        for rung, quality in enumerate(ladder.qualities):
            assert ladder.run_ms(rung, size) == pytest.approx(offers[quality])


def test_a_ladder_on_a_drifting_machine_costs_what_its_plans_do() -> None:
    steady = costs(batches=(1, 2)).drifted(Drift(1.0, 1.0))
    slow = steady.drifted(Drift(1.5, 2.0))
    ladder, book = Ladder.of(a_book(), steady, 3).drifted(slow, 2), a_book()
    plans = {plan.quality.value: plan for plan in book.plans}

    for quality, row in zip(ladder.qualities, ladder.batch_ms, strict=True):
        expected_ms = [prices([plans[quality]], slow, batch=b)[0].p95_ms for b in (1, 2)]
        assert row == pytest.approx(expected_ms)
