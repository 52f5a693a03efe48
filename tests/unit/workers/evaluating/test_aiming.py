from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from schedules.change import ChangeProfile
from schedules.influence import Influence
from schedules.rules import RESIDUAL, accumulate, all_compute, spread
from tests.tiny_books import costs_for
from workers.evaluating.aiming import aimed, measured_at, predicted_speed_up, threshold

if TYPE_CHECKING:
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


@pytest.mark.parametrize(
    ("reached", "asked"),
    [
        ([1.51], [1.5]),
        ([1.4, 1.51], [1.5, 1.5 * 1.5 / 1.4]),
        ([1.4, 1.45, 1.51], [1.5, 1.5 * 1.5 / 1.4, 1.5**3 / 1.4 / 1.45]),
        ([0.1, 1.51], [1.5, 1.5 * 1.25]),
    ],
    ids=["reached at once", "short", "short again", "disturbed"],
)
def test_what_falls_short_when_it_is_measured_is_aimed_at_again(
    tiny: Model, reached: list[float], asked: list[float]
) -> None:
    measured, wanted = iter(reached), list[float]()

    def make(goal: float) -> Schedule:
        wanted.append(goal)
        return all_compute(2, tiny.units.graph)

    measured_at(1.5, make, lambda _schedule: next(measured))

    assert wanted == pytest.approx(asked, rel=0.03)
