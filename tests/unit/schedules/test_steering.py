from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.rules import all_compute, rested, uniform
from schedules.schedule import Schedule, normalised_row
from schedules.steering import Steering
from schedules.units import Role, Unit, UnitGraph
from tests.builders import a_unet_graph
from tests.strategies import MS, graphs, tables

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

    Steered = tuple[UnitGraph, Schedule, tuple[float, ...], int]

GRAPH = a_unet_graph()
UNIT_MS = (10.0,) * len(GRAPH)
SPARE = st.floats(-1e4, 1e4)


@st.composite
def steered_steps(draw: DrawFn) -> Steered:
    graph = draw(graphs())
    schedule = draw(tables(len(graph)).filter(lambda table: table.steps > 1))
    unit_ms = draw(st.tuples(*[MS] * len(graph)))
    return graph, schedule, unit_ms, draw(st.integers(1, schedule.steps - 1))


def time_of(row: tuple[bool, ...], unit_ms: tuple[float, ...]) -> float:
    return sum(ms for ms, computes in zip(unit_ms, row, strict=True) if computes)


@given(steered_steps(), SPARE)
def test_what_a_row_adds_is_the_time_of_what_it_computes(steered: Steered, spare_ms: float) -> None:
    graph, schedule, unit_ms, step = steered
    planned = schedule.normalised(graph).computes[step]
    row, added_ms = Steering(schedule, graph, unit_ms).steered(step, spare_ms)

    assert row == normalised_row(row, graph)
    assert added_ms == pytest.approx(time_of(row, unit_ms) - time_of(planned, unit_ms), abs=1e-6)


@given(steered_steps(), SPARE, SPARE)
def test_more_time_never_gives_a_shorter_step(
    steered: Steered, one_ms: float, other_ms: float
) -> None:
    graph, schedule, unit_ms, step = steered
    steering = Steering(schedule, graph, unit_ms)
    added = [steering.steered(step, spare_ms)[1] for spare_ms in sorted((one_ms, other_ms))]

    assert added[0] <= added[1]


@given(steered_steps())
def test_a_run_as_predicted_follows_its_plan(steered: Steered) -> None:
    graph, schedule, unit_ms, step = steered
    row, added_ms = Steering(schedule, graph, unit_ms).steered(step, 0.0)

    assert added_ms == 0.0
    assert time_of(row, unit_ms) == pytest.approx(
        time_of(schedule.normalised(graph).computes[step], unit_ms)
    )


def test_a_last_step_takes_all_there_is_to_spare() -> None:
    steering = Steering(uniform(2, GRAPH, 2), GRAPH, UNIT_MS)
    row, added_ms = steering.steered(1, 1e6)

    assert all(row)
    assert added_ms == pytest.approx(time_of(row, UNIT_MS) - planned_ms(2))


def planned_ms(steps: int) -> float:
    return time_of(uniform(steps, GRAPH, 2).normalised(GRAPH).computes[1], UNIT_MS)


def test_steps_bear_equal_shares_of_what_is_missing() -> None:
    steering = Steering(all_compute(5, GRAPH), GRAPH, UNIT_MS)
    schedule = Schedule((*all_compute(4, GRAPH).computes, (False,) * len(GRAPH)))
    mixed = Steering(schedule, GRAPH, UNIT_MS)

    assert steering.steered(1, -4 * 110.0)[1] == -110.0
    assert mixed.steered(1, -3 * 110.0)[1] == -110.0  # an empty step has nothing to give


def test_the_shortest_step_computes_nothing() -> None:
    row, added_ms = Steering(all_compute(3, GRAPH), GRAPH, UNIT_MS).shortest(1)

    assert not any(row)
    assert added_ms == -110.0


def test_rows_are_made_of_patterns_the_schedule_knows() -> None:
    half = tuple(u < 5 for u in range(len(GRAPH)))
    schedule = Schedule((*all_compute(2, GRAPH).computes, half))
    steering = Steering(schedule, GRAPH, UNIT_MS)
    lean = normalised_row(half, GRAPH)
    saved_ms = 110.0 - time_of(lean, UNIT_MS)
    both_ms = 110.0 + time_of(lean, UNIT_MS)

    assert steering.steered(1, -saved_ms * both_ms / 110.0) == (lean, -saved_ms)


def test_a_step_of_rest_stays_one_however_much_time_there_is() -> None:
    units = (Unit("mid.attn.0", Role.TRANSFORMER), Unit("output", Role.OUTPUT))
    graph = UnitGraph(units, feeds=((), (0,)), sinks=(1,))
    schedule = rested(uniform(3, graph, 2), graph, 1.0)
    steering = Steering(schedule, graph, (10.0, 10.0))

    assert steering.steered(1, 1e6) == ((False, False), 0.0)
    assert steering.steered(2, 10.0) == ((True, True), 10.0)  # the only one that has room left
