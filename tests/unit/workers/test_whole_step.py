"""Reused outputs spare whole blocks; the UNet's own output spares the whole call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from schedules.rules import all_compute, deepcache
from schedules.schedule import Counts, Schedule, Work
from tests.rendering import a_frame, latents_of, some_prompts
from workers.cached_unet import cached
from workers.units import example_inputs

if TYPE_CHECKING:
    from torch import Tensor

    from workers.pipeline import Model


def skipping(model: Model, *steps: int, total: int) -> Schedule:
    """Return a schedule that computes nothing at some steps and everything at the others."""
    units = len(model.units.graph)
    return Schedule.of([step not in steps] * units for step in range(total))


def prediction(model: Model, seed: int) -> Tensor:
    inputs = example_inputs(model.pipe.unet)
    shape, generator = inputs["sample"].shape, torch.Generator().manual_seed(seed)
    inputs["sample"] = torch.randn(shape, generator=generator)
    found: Tensor = model.pipe.unet(**inputs, return_dict=False)[0]
    return found


@torch.inference_mode()
def test_a_reused_output_is_the_last_prediction_whatever_the_input(model: Model) -> None:
    with cached(model.units, skipping(model, 1, total=2)) as run:
        run.begin_step(0)
        first = prediction(model, seed=0)
        run.begin_step(1)
        second = prediction(model, seed=1)

    assert torch.equal(second, first)
    assert not torch.equal(prediction(model, seed=1), first)


def test_no_layer_runs_where_the_output_is_reused(model: Model) -> None:
    ran: list[int] = []

    def count(_module: Any, _inputs: Any) -> None:
        ran.append(1)

    handle = model.pipe.unet.conv_in.register_forward_pre_hook(count)
    latents_of(model, a_frame(model, skipping(model, 1, 3, total=5)), some_prompts())
    handle.remove()

    assert len(ran) == 3


def test_one_unit_is_reused_and_all_others_are_skipped(model: Model) -> None:
    units = len(model.units.graph)
    schedule = skipping(model, 2, total=3)

    _, counts = latents_of(model, a_frame(model, schedule), some_prompts())

    assert counts == schedule.counts(model.units.graph) == Counts(2 * units, 1, units - 1)


def test_after_a_reused_output_steps_compute_as_before(model: Model) -> None:
    frame = a_frame(model, skipping(model, 1, total=3))
    skipped, _ = latents_of(model, frame, some_prompts())
    full, _ = latents_of(model, a_frame(model, all_compute(3, model.units.graph)), some_prompts())

    assert skipped.isfinite().all()
    assert not torch.equal(skipped, full)


def test_blocks_of_which_nothing_is_needed_are_not_entered(model: Model) -> None:
    graph = model.units.graph
    schedule = deepcache(2, graph, 2)
    needed = schedule.work(graph)[1]
    idle = [b for b in model.units.blocks if all(needed[u] is Work.SKIPPED for u in b.units)]
    layers = [layer for block in idle for layer in cast("Any", block.module).resnets]
    ran: list[int] = []
    handles = [layer.register_forward_pre_hook(lambda *_: ran.append(1)) for layer in layers]

    latents_of(model, a_frame(model, schedule), some_prompts())
    for handle in handles:
        handle.remove()

    assert idle
    assert len(ran) == len(layers)  # once each, at step 0
