from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import torch

from schedules.rules import deepcache, uniform
from tests.graph_runs import STEPS, distinct_rows, learn, ragged, replayed
from tests.recorder import Recorder
from tests.rendering import a_frame, latents_of, some_prompts
from workers.graphs import Graphs

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from workers.cached_unet import CacheRun
    from workers.pipeline import Model


def test_nothing_is_captured_during_a_generation(tiny: Model, graphs: Graphs) -> None:
    learn(tiny, a_frame(tiny, 3), graphs)
    frame = a_frame(tiny, ragged(tiny))
    expected, _ = latents_of(tiny, frame, some_prompts(2))

    def capture(_step: int, _run: CacheRun, _latents: Tensor) -> bool:
        graphs.capture()
        return True

    latents, _ = latents_of(tiny, frame, some_prompts(2), capture, graphs)

    assert (graphs.count, graphs.wanted) == (1, distinct_rows(tiny, frame.schedule) - 1)
    assert torch.equal(latents, expected)


def test_the_graphs_used_last_are_kept(tiny: Model) -> None:
    graphs = Graphs(Recorder(tiny.pipe.unet), most_graphs=2)
    frame = a_frame(tiny, uniform(STEPS, tiny.units.graph, 2))
    other = a_frame(tiny, deepcache(STEPS, tiny.units.graph, 2))
    learn(tiny, frame, graphs)
    learn(tiny, other, graphs)

    assert graphs.count == 2
    replayed(tiny, other, graphs)


def test_shapes_beyond_the_most_take_their_graphs_along(tiny: Model) -> None:
    graphs = Graphs(Recorder(tiny.pipe.unet), most_stages=1)
    frame = a_frame(tiny, 3)
    learn(tiny, frame, graphs, 1)
    held_bytes = graphs.bytes
    learn(tiny, frame, graphs, 1, 2)

    assert graphs.count == 1
    assert held_bytes < graphs.bytes < 3 * held_bytes


def test_only_what_is_wanted_often_is_captured_between_batches(tiny: Model, graphs: Graphs) -> None:
    latents_of(
        tiny, a_frame(tiny, deepcache(3, tiny.units.graph, 2)), some_prompts(), graphs=graphs
    )
    graphs.capture(least=2)

    assert (graphs.count, graphs.wanted) == (1, 1)


def test_a_failure_to_capture_is_told_once_and_pictures_go_on(
    tiny: Model, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tiny.pipe.unet)
    graphs, frame = Graphs(recorder), a_frame(tiny, ragged(tiny))
    recorder.fails = RuntimeError("operation not permitted when stream is capturing")
    with caplog.at_level(logging.WARNING):
        learn(tiny, frame, graphs)
        learn(tiny, frame, graphs)
    latents, _ = latents_of(tiny, frame, some_prompts(2), graphs=graphs)

    told = [r.message for r in caplog.records if r.name == "workers.graphs"]
    assert [message.count("not permitted when stream is capturing") for message in told] == [1]
    assert (graphs.are_on, graphs.bytes, graphs.wanted) == (False, 0, 0)
    assert torch.equal(latents, latents_of(tiny, frame, some_prompts(2))[0])


def test_where_memory_is_short_nothing_more_is_captured(tiny: Model) -> None:
    recorder = Recorder(tiny.pipe.unet)
    graphs, frame = Graphs(recorder), a_frame(tiny, 3)
    learn(tiny, frame, graphs)
    recorder.free = 0.01
    learn(tiny, a_frame(tiny, deepcache(3, tiny.units.graph, 2)), graphs)

    assert (graphs.count, graphs.wanted, graphs.are_on) == (1, 0, True)
    replayed(tiny, frame, graphs)


def test_graphs_give_way_once_and_for_good(tiny: Model, graphs: Graphs) -> None:
    learn(tiny, a_frame(tiny, 3), graphs)
    gave = [graphs.give_way(), graphs.give_way()]
    learn(tiny, a_frame(tiny, 3), graphs)

    assert gave == [True, False]
    assert (graphs.count, graphs.bytes, graphs.are_on) == (0, 0, False)


def test_weights_at_another_place_are_captured_anew(models: Callable[[str], Model]) -> None:
    model = models("sd2")
    graphs, frame = Graphs(Recorder(model.pipe.unet)), a_frame(model, 3)
    learn(model, frame, graphs)
    bias = model.pipe.unet.conv_in.bias
    bias.data = bias.data.clone()
    latents_of(model, frame, some_prompts(), graphs=graphs)

    assert (graphs.count, graphs.replays) == (0, 0)


def test_without_a_capturer_nothing_is_kept(tiny: Model) -> None:
    graphs = Graphs()
    learn(tiny, a_frame(tiny, 3), graphs)

    assert (graphs.are_on, graphs.count, graphs.bytes, graphs.wanted) == (False, 0, 0, 0)
