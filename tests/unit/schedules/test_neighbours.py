from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.cost import StageCosts
from schedules.influence import Influence, Table
from schedules.neighbours import neighbours
from schedules.rules import uniform
from schedules.schedule import Schedule
from tests.builders import a_graph

if TYPE_CHECKING:
    from schedules.units import UnitGraph

GRAPH: UnitGraph = a_graph()
UNITS = len(GRAPH)
COSTS = StageCosts(1.0, 0.0, 1.0, (2.0, 3.0, 1.0, 0.0, 4.0), 1.0, 1.0)


def influence(steps: int = 6, seed: int = 0) -> Influence:
    random = np.random.default_rng(seed)
    effects = random.normal(size=(UNITS, steps, steps - 1, 4)) * random.random((UNITS, steps, 1, 1))
    return Influence(effects.astype(np.float32))


def moves(schedule: Schedule, seed: int = 0, most: int = 12) -> tuple[Schedule, ...]:
    return neighbours(influence(schedule.steps, seed), GRAPH, COSTS, schedule, most)


def spent(schedule: Schedule) -> float:
    return sum(runs * ms for runs, ms in zip(schedule.unit_runs, COSTS.unit_ms, strict=True))


@given(seed=st.integers(0, 200))
@settings(max_examples=20, deadline=None)
def test_no_move_costs_more(seed: int) -> None:
    schedule = uniform(6, GRAPH, 2).normalised(GRAPH)

    assert all(spent(moved) <= spent(schedule) for moved in moves(schedule, seed))


@given(seed=st.integers(0, 200))
@settings(max_examples=20, deadline=None)
def test_those_that_promise_most_come_first(seed: int) -> None:
    table = Table.to_choose_by(influence(seed=seed), GRAPH)
    errors = [table.of(moved) for moved in moves(uniform(6, GRAPH, 2), seed)]

    assert errors == pytest.approx(sorted(errors))


def test_every_move_is_another_schedule_without_dead_work() -> None:
    schedule = uniform(6, GRAPH, 2).normalised(GRAPH)
    found = moves(schedule, most=50)

    assert len(set(found)) == len(found) > 1
    assert schedule not in found
    assert all(moved == moved.normalised(GRAPH) for moved in found)


def test_a_computed_step_can_be_shifted() -> None:
    rows = [[True] * UNITS for _ in range(4)]
    rows[2][0] = False
    effects = np.zeros((UNITS, 4, 3, 1), np.float32)
    effects[:, 1:] = 9.0
    effects[0, 2, 0], effects[0, 3, 0] = 5.0, 1.0

    (best,) = neighbours(Influence(effects), GRAPH, COSTS, Schedule.of(rows), most=1)

    rows[2][0], rows[3][0] = True, False
    assert best == Schedule.of(rows)


def test_an_uncached_schedule_can_only_reuse_more() -> None:
    whole = Schedule(((True,) * UNITS,) * 3)

    assert all(spent(moved) < spent(whole) for moved in moves(whole))
