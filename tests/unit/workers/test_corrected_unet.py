from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from schedules.rules import uniform
from tests.corrections import a_correction
from tests.rendering import a_frame, latents_of, some_prompts
from tests.unet_calls import RESIDUALS, ran, reusing, updates
from workers.cached_unet import CacheRun, cached

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from workers.pipeline import Model
    from workers.sampler import Frame


@pytest.mark.parametrize(("name", "unit"), RESIDUALS)
def test_a_corrected_update_is_scaled_and_shifted_per_channel(
    models: Callable[[str], Model], name: str, unit: str
) -> None:
    model = models(name)
    frame = a_frame(model, reusing(model, unit))
    correction = a_correction(model, frame).to(model.device, model.dtype)
    (first, second), _ = updates(model, unit, frame.schedule, correction)
    gain, shift = (terms[0, :, None, None] for terms in correction.terms[unit])

    torch.testing.assert_close(second, (1 + gain) * first + shift, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "unit"), RESIDUALS)
def test_a_two_tap_correction_forecasts_from_two_computed_updates(
    models: Callable[[str], Model], name: str, unit: str
) -> None:
    model = models(name)
    frame = a_frame(model, reusing(model, unit, computes=2))
    correction = a_correction(model, frame, "two-tap").to(model.device, model.dtype)
    (first, second, third), _ = updates(model, unit, frame.schedule, correction)
    gain, shift, slope = (terms[0, :, None, None] for terms in correction.terms[unit])
    expected = (1 + gain) * second + slope * (second - first) + shift

    torch.testing.assert_close(third, expected, atol=1e-5, rtol=1e-5)


def test_a_corrected_sampler_scales_its_old_output(tiny: Model) -> None:
    unit, seen = "up.0.upsampler", list[torch.Tensor]()
    frame = a_frame(tiny, reusing(tiny, unit))
    correction = a_correction(tiny, frame).to(tiny.device, tiny.dtype)
    with cached(tiny.units, frame.schedule, correction) as run:
        module = tiny.units.modules[tiny.units.graph.index(unit)].module
        handle = module.register_forward_hook(lambda _m, _x, y: seen.append(y))
        for step in range(2):
            ran(tiny, run, step, value=float(step))
        handle.remove()
    gain, shift = (terms[0, :, None, None] for terms in correction.terms[unit])

    torch.testing.assert_close(seen[1], (1 + gain) * seen[0] + shift)


def test_values_before_the_last_are_kept_only_where_they_are_needed(tiny: Model) -> None:
    unit = "mid.resnet.0"
    for kind, kept in (("closed-form", []), ("two-tap", [tiny.units.graph.index(unit)])):
        frame = a_frame(tiny, reusing(tiny, unit, computes=2))
        with cached(tiny.units, frame.schedule, a_correction(tiny, frame, kind)) as run:
            for step in range(2):
                ran(tiny, run, step)

        assert [u for u, value in enumerate(run.before) if value is not None] == kept


@pytest.mark.parametrize("kind", ["closed-form", "two-tap"])
def test_what_a_hurried_step_left_old_is_reused_as_it_is(tiny: Model, kind: str) -> None:
    schedule = reusing(tiny, "mid.resnet.0", computes=3)
    frame = a_frame(tiny, schedule)
    corrected = replace(frame, correction=a_correction(tiny, frame, kind))

    assert torch.equal(hurried(tiny, corrected, after=1), hurried(tiny, frame, after=1))


def test_what_is_computed_after_a_hurried_step_is_corrected_again(tiny: Model) -> None:
    frame = a_frame(tiny, uniform(5, tiny.units.graph, 2))
    corrected = replace(frame, correction=a_correction(tiny, frame))

    assert not torch.allclose(hurried(tiny, corrected, after=0), hurried(tiny, frame, after=0))


def hurried(model: Model, frame: Frame, after: int) -> Tensor:
    """Return the latents of a run that is hurried after one of its steps."""

    def hurry_once(step: int, run: CacheRun, _latents: Tensor) -> bool:
        if step == after:
            run.follow((False,) * len(model.units.graph))
        return True

    return latents_of(model, frame, some_prompts(), hurry_once)[0]
