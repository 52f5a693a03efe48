from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from schedules.influence import Influence
from schedules.rules import all_compute, spread
from tests.tiny_books import costs_for
from workers.evaluating.aiming import aimed, predicted_speed_up

if TYPE_CHECKING:
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
