from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from schedules.change import ChangeProfile
from schedules.influence import Influence
from schedules.rules import RESIDUAL, accumulate, all_compute, spread
from tests.tiny_books import costs_for
from workers.evaluating.aiming import Scale, aimed, measured_at, predicted_speed_up, threshold

if TYPE_CHECKING:
    from collections.abc import Callable

    from schedules.cost import StageCosts
    from schedules.schedule import Schedule
    from workers.pipeline import Model

STEPS = 8


def effects(model: Model, scale: float = 1.0) -> Influence:
    """Return made-up effects that grow with the lag and differ from unit to unit."""
    units = len(model.units.graph)
    noise = np.random.default_rng(0).standard_normal((units, STEPS, STEPS - 1, 4))
    sizes = np.geomspace(0.01, 1, units)[:, None, None, None] * np.arange(1, STEPS)[:, None]
    return Influence((scale * sizes * noise).astype(np.float32))


@pytest.mark.parametrize("goal", [1.2, 1.5, 2.0])
def test_a_schedule_is_about_as_much_faster_as_asked_for(tiny: Model, goal: float) -> None:
    costs = costs_for(tiny).at(1)
    found = aimed(effects(tiny), tiny.units.graph, costs, goal)

    assert predicted_speed_up(found, costs) == pytest.approx(goal, rel=0.1)


def test_where_reuse_costs_nothing_any_schedule_will_do(tiny: Model) -> None:
    found = aimed(effects(tiny, 0.0), tiny.units.graph, costs_for(tiny).at(1), 1.5)

    assert found.steps == STEPS


def test_speed_ups_are_predicted_from_unit_costs(tiny: Model) -> None:
    costs, graph = costs_for(tiny).at(1), tiny.units.graph

    assert predicted_speed_up(all_compute(STEPS, graph), costs) == pytest.approx(1.0)
    assert 1 < predicted_speed_up(spread(STEPS, graph, 0.5), costs) < 2


def test_the_smallest_threshold_is_found_that_is_as_fast(tiny: Model) -> None:
    costs, graph = costs_for(tiny).at(1), tiny.units.graph
    profile = ChangeProfile(*(((0.1,) * (STEPS - 1),) * len(graph),) * 2, samples=1)

    def rule(delta: float) -> Schedule:
        return accumulate(profile, graph, delta, RESIDUAL)

    goal = predicted_speed_up(rule(0.25), costs)
    delta, schedule = threshold(rule, costs, goal)

    assert delta == pytest.approx(0.2, abs=1e-5)
    assert schedule == rule(0.25)


def finest(tiny: Model, costs: StageCosts) -> Callable[[float], Schedule]:
    """Return what finds the slowest of many schedules that is promised to be as fast as asked."""
    graph = tiny.units.graph
    many = [spread(40, graph, percent / 100) for percent in range(100, 20, -1)]

    def make(asked: float) -> Schedule:
        return next(one for one in many if predicted_speed_up(one, costs) >= asked)

    return make


@pytest.mark.parametrize("share", [0.9, 1.0, 1.1])
def test_what_is_reached_of_the_promised_decides_where_to_aim(tiny: Model, share: float) -> None:
    costs = costs_for(tiny).at(1)

    def measured(schedule: Schedule) -> float:
        return share * predicted_speed_up(schedule, costs)

    found = measured_at(1.5, finest(tiny, costs), Scale(costs, measured))

    assert 1.5 <= measured(found) <= 1.5 * 1.05


def test_a_disturbed_moment_does_not_move_the_aim(tiny: Model) -> None:
    costs = costs_for(tiny).at(1)
    make, strays = finest(tiny, costs), iter([1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 1.0])
    scale = Scale(costs, lambda made: next(strays) * predicted_speed_up(made, costs))
    for known in (1.2, 2.0):
        scale.speed_up(make(known))

    found = measured_at(1.5, make, scale)

    assert 1.5 <= predicted_speed_up(found, costs) <= 1.5 * 1.05


def test_before_anything_is_measured_all_that_is_promised_counts(tiny: Model) -> None:
    assert Scale(costs_for(tiny).at(1), lambda _made: 0.5).share == 1.0


def test_a_schedule_that_is_measured_again_counts_once(tiny: Model) -> None:
    costs = costs_for(tiny).at(1)
    measured = iter([2.0, 1.0, 1.0])
    scale = Scale(costs, lambda _made: next(measured))
    for steps in (2, 3, 3):
        scale.speed_up(all_compute(steps, tiny.units.graph))

    assert scale.share == 1.5
