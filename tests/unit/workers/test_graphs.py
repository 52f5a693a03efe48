from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from schedules.rules import uniform
from schedules.schedule import Schedule
from tests.corrections import a_correction
from tests.graph_runs import RULES, STEPS, distinct_rows, inputs_of_a_step, learn, ragged, replayed
from tests.recorder import Recorder
from tests.rendering import a_frame, is_untouched, latents_of, some_prompts
from workers.cached_unet import cached
from workers.errors import Stopped
from workers.graphs import Graphs
from workers.pipeline import layout_for
from workers.sampler import denoise, encode, initial_latents

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from workers.cached_unet import CacheRun
    from workers.pipeline import Model


@pytest.mark.parametrize("solver", ["ddim", "dpmpp_2m", "unipc", "euler"])
def test_replayed_pictures_are_the_eager_ones_with_any_solver(
    tiny: Model, graphs: Graphs, solver: str
) -> None:
    frame = a_frame(tiny, ragged(tiny), solver=solver)
    learn(tiny, frame, graphs, 1)
    eager, _ = latents_of(tiny, frame, some_prompts(2))

    assert torch.equal(replayed(tiny, frame, graphs, 2), eager)


@pytest.mark.parametrize("guidance", [3.0, 1.0], ids=["guided", "unguided"])
@pytest.mark.parametrize("rule", RULES)
def test_replayed_pictures_are_the_eager_ones_under_any_schedule(
    model: Model, rule: str, guidance: float
) -> None:
    graphs = Graphs(Recorder(model.pipe.unet))
    frame = a_frame(model, RULES[rule](model), guidance=guidance)
    learn(model, frame, graphs, 5)
    for seed in (6, 7, 6):
        eager, _ = latents_of(model, frame, some_prompts(seed))

        assert torch.equal(replayed(model, frame, graphs, seed), eager)
    assert graphs.count == distinct_rows(model, frame.schedule)


@pytest.mark.parametrize("kind", ["closed-form", "two-tap"])
@pytest.mark.parametrize("rule", ["uniform", "ragged"])
def test_corrections_are_replayed_with_the_terms_of_their_step(
    model: Model, rule: str, kind: str
) -> None:
    graphs = Graphs(Recorder(model.pipe.unet))
    plain = a_frame(model, RULES[rule](model))
    frame = replace(plain, correction=a_correction(model, plain, kind))
    learn(model, frame, graphs, 1)
    eager, _ = latents_of(model, frame, some_prompts(2))

    assert torch.equal(replayed(model, frame, graphs, 2), eager)
    assert not torch.equal(eager, latents_of(model, plain, some_prompts(2))[0])


def test_steps_of_one_row_share_a_graph_whatever_their_corrections(
    tiny: Model, graphs: Graphs
) -> None:
    plain = a_frame(tiny, uniform(STEPS, tiny.units.graph, 2))
    frame = replace(plain, correction=a_correction(tiny, plain))
    learn(tiny, frame, graphs)

    assert graphs.count == 2


def test_a_step_without_a_graph_runs_on_the_values_of_replayed_ones(
    tiny: Model, graphs: Graphs
) -> None:
    frame = a_frame(tiny, uniform(STEPS, tiny.units.graph, 2))
    other = replace(frame, schedule=ragged(tiny))
    learn(tiny, frame, graphs)
    mixed, counts = latents_of(tiny, other, some_prompts(2), graphs=graphs)

    assert 0 < graphs.replays < STEPS
    assert counts == other.schedule.counts(tiny.units.graph)
    assert torch.equal(mixed, latents_of(tiny, other, some_prompts(2))[0])


def test_two_taps_after_a_plan_without_them_find_room_for_both_values(
    tiny: Model, graphs: Graphs
) -> None:
    plain = a_frame(tiny, uniform(STEPS, tiny.units.graph, 2))
    frame = replace(plain, correction=a_correction(tiny, plain, "two-tap"))
    learn(tiny, plain, graphs)
    learn(tiny, frame, graphs)
    eager, _ = latents_of(tiny, frame, some_prompts(2))

    assert torch.equal(replayed(tiny, frame, graphs, 2), eager)


def test_a_step_told_another_row_is_replayed_as_that_row(tiny: Model, graphs: Graphs) -> None:
    frame = a_frame(tiny, uniform(STEPS, tiny.units.graph, 2))

    def hurry(step: int, run: CacheRun, _latents: Tensor) -> bool:
        if step % 2:
            run.follow((False,) * len(tiny.units.graph))
        return True

    expected, wanted = latents_of(tiny, frame, some_prompts(2), hurry)
    latents_of(tiny, frame, some_prompts(1), hurry, graphs)
    graphs.capture()
    latents, counts = latents_of(tiny, frame, some_prompts(2), hurry, graphs)

    assert graphs.replays == STEPS
    assert counts == wanted
    assert torch.equal(latents, expected)


@torch.inference_mode()
@pytest.mark.parametrize("is_captured", [True, False])
def test_a_prediction_does_not_change_when_the_next_is_made(
    tiny: Model, graphs: Graphs, is_captured: bool
) -> None:
    frame = a_frame(tiny, Schedule.of([[step != 1] * len(tiny.units.graph) for step in range(3)]))
    latents_of(tiny, frame, some_prompts(), graphs=graphs)
    if is_captured:
        graphs.capture()
    given = [inputs_of_a_step(tiny, frame, seed) for seed in range(3)]
    with (
        cached(tiny.units, frame.schedule) as run,
        graphs.generation(tiny.pipe.unet, tiny.units, run, given[0]) as call,
    ):
        made, kept = [], []
        for step, inputs in enumerate(given):
            run.begin_step(step)
            made.append(call(inputs))
            kept.append(made[-1].clone())

    assert graphs.replays == (3 if is_captured else 0)
    assert all(torch.equal(*pair) for pair in zip(made, kept, strict=True))
    assert not torch.equal(made[1], made[2])


def test_batches_of_another_size_have_graphs_of_their_own(tiny: Model, graphs: Graphs) -> None:
    frame = a_frame(tiny, uniform(STEPS, tiny.units.graph, 2))
    learn(tiny, frame, graphs, 1)
    learn(tiny, frame, graphs, 1, 2)
    eager, _ = latents_of(tiny, frame, some_prompts(3, 4))

    assert graphs.count == 4
    assert torch.equal(replayed(tiny, frame, graphs, 3, 4), eager)


@torch.inference_mode()
def test_a_generation_during_another_runs_on_tensors_of_its_own(
    tiny: Model, graphs: Graphs
) -> None:
    frame = a_frame(tiny, uniform(STEPS, tiny.units.graph, 2))
    learn(tiny, frame, graphs)
    expected, _ = latents_of(tiny, frame, some_prompts(2))
    inner: list[Tensor] = []
    captured = graphs.replays

    def during(step: int, run: CacheRun, _latents: Tensor) -> bool:
        if step == 2:
            with graphs.generation(tiny.pipe.unet, tiny.units, run, inner_inputs) as call:
                inner.append(call(inner_inputs))
            graphs.capture()
        return True

    inner_inputs = inputs_of_a_step(tiny, frame)
    latents_of(tiny, frame, some_prompts(2), during, graphs)

    assert graphs.replays == captured + STEPS
    assert len(inner) == 1
    assert torch.equal(replayed(tiny, frame, graphs, 2), expected)


def test_outside_inference_mode_nothing_is_replayed(tiny: Model, graphs: Graphs) -> None:
    frame = a_frame(tiny, 3)
    learn(tiny, frame, graphs)
    with torch.no_grad():
        noise = initial_latents(tiny, some_prompts(), frame)
        denoise(tiny, encode(tiny, some_prompts(), frame), noise, frame, graphs=graphs)

    assert graphs.replays == 0


def test_a_run_that_is_stopped_leaves_graphs_and_unet_as_they_were(
    tiny: Model, graphs: Graphs
) -> None:
    frame = a_frame(tiny, uniform(STEPS, tiny.units.graph, 2))
    learn(tiny, frame, graphs)
    with pytest.raises(Stopped):
        latents_of(tiny, frame, some_prompts(1), lambda step, _run, _latents: step < 1, graphs)
    eager, _ = latents_of(tiny, frame, some_prompts(2))

    assert torch.equal(replayed(tiny, frame, graphs, 2), eager)
    assert is_untouched(tiny.pipe.unet)


def test_a_unet_laid_out_as_a_gpu_reads_it_is_replayed_too(models: Callable[[str], Model]) -> None:
    model = models("sdxl")
    unet = model.pipe.unet.to(memory_format=layout_for(torch.device("cuda")))
    try:
        graphs, frame = Graphs(Recorder(unet)), a_frame(model, ragged(model))
        learn(model, frame, graphs, 1)
        eager, _ = latents_of(model, frame, some_prompts(2))

        assert unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(replayed(model, frame, graphs, 2), eager)
    finally:
        unet.to(memory_format=torch.contiguous_format)
