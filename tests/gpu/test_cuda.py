"""What must hold on a GPU in half precision. Says nothing about speed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from schedules.rules import deepcache, uniform
from tests.rendering import (
    a_frame,
    by_diffusers,
    is_untouched,
    latents_of,
    pixels_of,
    some_prompts,
)
from workers.costing import measure_costs
from workers.rendering import render
from workers.sampler import initial_latents
from workers.telemetry import gpu_memory_bytes

if TYPE_CHECKING:
    from workers.pipeline import Model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    # diffusers' own SDXL pipeline, run for comparison, calls what it deprecates.
    pytest.mark.filterwarnings("ignore:.*upcast_vae:FutureWarning"),
]


def test_a_worker_computes_in_half_precision_on_a_gpu(model: Model) -> None:
    assert (model.device.type, model.dtype) == ("cuda", torch.float16)


@pytest.mark.parametrize("guidance", [3.0, 1.0], ids=["guided", "unguided"])
@pytest.mark.parametrize("solver", ["ddim", "dpmpp_2m"])
def test_an_all_compute_schedule_is_bit_for_bit_the_plain_pipeline(
    model: Model, solver: str, guidance: float
) -> None:
    frame = a_frame(model, 3, solver=solver, guidance=guidance)
    (prompt,) = some_prompts(7)
    latents, _ = latents_of(model, frame, [prompt])
    pixels = pixels_of(model, latents)[0]
    plain_latents, plain_pixels = by_diffusers(model, frame, prompt)

    assert torch.equal(latents, plain_latents)
    assert np.array_equal(pixels, plain_pixels)


@pytest.mark.parametrize("rule", [uniform, deepcache])
def test_what_ran_is_what_the_schedule_says(model: Model, rule: type) -> None:
    schedule = rule(4, model.units.graph, 2)
    _, counts = latents_of(model, a_frame(model, schedule), some_prompts(0, 1))

    assert counts == schedule.counts(model.units.graph)
    assert is_untouched(model.pipe.unet)


def test_a_seed_starts_from_the_same_noise_as_on_a_cpu(model: Model) -> None:
    prompts, frame = some_prompts(3), a_frame(model, 2)
    scale = model.pipe.vae_scale_factor
    shape = (1, model.pipe.unet.config.in_channels, frame.height // scale, frame.width // scale)
    expected = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=model.dtype)

    assert torch.equal(initial_latents(model, prompts, frame).cpu(), expected)


def test_cached_pictures_are_finite_and_repeatable(model: Model) -> None:
    frame = a_frame(model, uniform(6, model.units.graph, 2), solver="dpmpp_2m")
    one, other = (latents_of(model, frame, some_prompts(1))[0] for _ in range(2))

    assert torch.isfinite(one).all()
    assert torch.equal(one, other)


def test_costs_are_measured_on_the_devices_own_time_line(model: Model) -> None:
    side = model.native_size
    costs = measure_costs(model, side, side, 3.0, (1, 2), seconds=0.1)

    assert costs.at(1).full_step_ms > 0
    assert costs.at(1).decode_ms > 0


def test_rendering_gives_pictures_and_counts_memory(model: Model) -> None:
    made = render(model, some_prompts(1, 2), a_frame(model, 2))

    assert [png[:4] for png in made.images] == [b"\x89PNG"] * 2
    assert gpu_memory_bytes() > 0
