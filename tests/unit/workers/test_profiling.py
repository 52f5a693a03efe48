from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from schedules.schedule import Schedule
from schedules.units import Role, Unit, UnitGraph
from tests.rendering import a_frame, latents_of, some_prompts
from workers.cached_unet import CacheRun
from workers.profiling import ChangeMeter, relative_change
from workers.units import UNetUnits

if TYPE_CHECKING:
    from torch import Tensor

    from workers.pipeline import Model

ONE = UnitGraph((Unit("mid.attn.0", Role.TRANSFORMER),), feeds=((),), sinks=(0,))


def measured(meter: ChangeMeter, *values: Tensor, batch: int) -> None:
    """Let a meter see the values of one unit, step after step."""
    run = CacheRun(Schedule(((True,),) * len(values)), UNetUnits((), ONE))
    for step, value in enumerate(values):
        run.values[0] = value
        meter.on_step(step, run, torch.zeros(batch, 1))


def test_change_is_relative_to_the_later_value() -> None:
    old, new = torch.tensor([[1.0, 1.0]]), torch.tensor([[3.0, -1.0]])

    assert relative_change(new, old, batch=1).tolist() == [1.0]


def test_change_is_that_of_each_picture() -> None:
    old, new = torch.zeros(2, 3), torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])

    assert relative_change(new, old, batch=2).tolist() == [1.0, 0.0]


def test_both_guidance_halves_are_one_sample() -> None:
    old = torch.tensor([[0.0], [5.0], [0.0], [1.0]])
    new = torch.tensor([[1.0], [5.0], [3.0], [3.0]])

    assert relative_change(new, old, batch=2).tolist() == [1.0, 0.25]


def test_mean_and_deviation_are_taken_over_all_pictures_of_all_batches() -> None:
    meter = ChangeMeter(ONE, steps=2)
    measured(meter, torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [4.0]]), batch=2)
    measured(meter, torch.tensor([[4.0]]), torch.tensor([[4.0]]), batch=1)
    profile = meter.profile()

    assert profile.samples == 3
    assert profile.mean[0] == pytest.approx((0.5,))
    assert profile.std[0] == pytest.approx(((1 / 6) ** 0.5,), rel=1e-5)


def test_every_step_is_compared_with_the_one_before() -> None:
    meter = ChangeMeter(ONE, steps=3)
    measured(meter, *(torch.tensor([[x]]) for x in (1.0, 2.0, 8.0)), batch=1)

    assert meter.profile().mean == ((0.5, 0.75),)


def test_the_profile_of_a_model_covers_all_its_units(model: Model) -> None:
    meter = ChangeMeter(model.units.graph, steps=3)
    latents_of(model, a_frame(model, 3), some_prompts(1, 2), meter.on_step)
    profile = meter.profile()

    assert (profile.units, profile.steps, profile.samples) == (len(model.units.graph), 3, 2)
    assert all(change > 0 for unit in profile.mean for change in unit)


def test_the_profile_does_not_depend_on_the_batch(tiny: Model) -> None:
    together, apart = (ChangeMeter(tiny.units.graph, steps=3) for _ in range(2))
    latents_of(tiny, a_frame(tiny, 3), some_prompts(1, 2), together.on_step)
    for seed in (1, 2):
        latents_of(tiny, a_frame(tiny, 3), some_prompts(seed), apart.on_step)

    for left, right in zip(together.profile().mean, apart.profile().mean, strict=True):
        assert left == pytest.approx(right, rel=1e-3)
