from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

import pytest
import torch

from schedules.units import Role
from tests.rendering import is_untouched
from workers.costing import Clock, measure_costs

if TYPE_CHECKING:
    from schedules.cost import CostModel
    from workers.pipeline import Model


@pytest.fixture
def costs(tiny: Model) -> CostModel:
    return measure_costs(tiny, 16, 16, 3.0, (1, 2), seconds=0.05)


def test_every_batch_size_is_measured_and_reported(tiny: Model) -> None:
    told: list[int] = []
    found = measure_costs(tiny, 16, 16, 3.0, (1, 2), seconds=0.05, on_batch=told.append)

    assert told == [size for size, _ in found.by_batch] == [1, 2]


def test_every_stage_and_unit_has_a_time(tiny: Model, costs: CostModel) -> None:
    stage = costs.at(1)
    encode_ms, _start_ms, _fixed_ms, unit_ms, decode_ms, png_ms = astuple(stage)

    assert min(encode_ms, decode_ms, png_ms) > 0
    assert len(unit_ms) == len(tiny.units.graph)


def test_units_that_work_cost_something_and_entries_nothing(tiny: Model, costs: CostModel) -> None:
    entries = set(tiny.units.graph.with_role(Role.ENTRY))
    for u, ms in enumerate(costs.at(1).unit_ms):
        assert (ms == 0) == (u in entries)


def test_measuring_leaves_the_unet_untouched(tiny: Model, costs: CostModel) -> None:
    assert is_untouched(tiny.pipe.unet)


def test_costs_are_measured_without_guidance_too(tiny: Model) -> None:
    found = measure_costs(tiny, 16, 16, 1.0, (1,), seconds=0.05)

    assert found.at(1).full_step_ms > 0


def test_a_clock_never_runs_backwards() -> None:
    clock = Clock(torch.device("cpu"))
    start, end = clock.mark(), clock.mark()
    clock.settle()

    assert clock.ms(start, end) >= 0
