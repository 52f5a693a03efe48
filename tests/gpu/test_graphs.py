"""What must hold of CUDA graphs on a GPU. Says nothing about speed."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from schedules.rules import EVERY_LAYER, deepcache, uniform
from schedules.schedule import Schedule
from tests.corrections import a_correction
from tests.rendering import a_frame, is_untouched, latents_of, some_prompts
from tests.tiny_books import book_for
from workers.calibration_files import book_path
from workers.capturing import CudaCapturer
from workers.graphs import Graphs
from workers.main import WorkerSettings, prepare
from workers.rendering import render
from workers.warming import record, warm_up

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from workers.pipeline import Model
    from workers.sampler import Frame

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

STEPS = 8
MIB = 2**20


def ragged(model: Model) -> Schedule:
    """Return a schedule of many different rows, one of which reuses the whole output."""
    units = len(model.units.graph)
    rows = [[s == 0 or (s != 3 and (u + s) % 5 > 0) for u in range(units)] for s in range(STEPS)]
    return Schedule.of(rows)


RULES: dict[str, Callable[[Model], Schedule]] = {
    "uniform": lambda model: uniform(STEPS, model.units.graph, 2),
    "uniform-all": lambda model: uniform(STEPS, model.units.graph, 3, EVERY_LAYER),
    "deepcache": lambda model: deepcache(STEPS, model.units.graph, 3),
    "ragged": ragged,
}


@pytest.fixture
def graphs(model: Model) -> Graphs:
    """Return graphs on which nothing has run."""
    return Graphs(CudaCapturer(model.device))


def distinct_rows(model: Model, schedule: Schedule) -> int:
    return len(set(schedule.work(model.units.graph)))


def learn(model: Model, frame: Frame, graphs: Graphs, *seeds: int) -> None:
    latents_of(model, frame, some_prompts(*seeds), graphs=graphs)
    graphs.capture()


def replayed(model: Model, frame: Frame, graphs: Graphs, *seeds: int) -> Tensor:
    """Return the latents of a run of which every step was replayed."""
    before, count = graphs.replays, graphs.count
    latents, counts = latents_of(model, frame, some_prompts(*seeds), graphs=graphs)
    assert (graphs.replays, graphs.count) == (before + frame.schedule.steps, count)
    assert counts == frame.schedule.counts(model.units.graph)
    return latents


def assert_same(latents: Tensor, eager: Tensor) -> None:
    """Check that two runs differ at most in the last places of half precision."""
    torch.testing.assert_close(latents, eager, rtol=2**-8, atol=2**-8, equal_nan=True)


def reserved_bytes() -> int:
    """Return the memory held for tensors and graphs, without what is merely kept for later."""
    torch.cuda.empty_cache()
    return torch.cuda.memory_reserved()


@pytest.mark.parametrize("guidance", [3.0, 1.0], ids=["guided", "unguided"])
@pytest.mark.parametrize("rule", RULES)
def test_replayed_pictures_are_the_eager_ones(
    model: Model, graphs: Graphs, rule: str, guidance: float
) -> None:
    frame = a_frame(model, RULES[rule](model), solver="dpmpp_2m", guidance=guidance)
    learn(model, frame, graphs, 5)
    for seed in (6, 7, 6):
        eager, _ = latents_of(model, frame, some_prompts(seed))

        assert torch.isfinite(eager).all()
        assert_same(replayed(model, frame, graphs, seed), eager)
    assert graphs.count == distinct_rows(model, frame.schedule)
    assert is_untouched(model.pipe.unet)


@pytest.mark.parametrize("solver", ["ddim", "unipc", "euler"])
def test_any_solver_gives_the_graphs_its_timesteps(
    model: Model, graphs: Graphs, solver: str
) -> None:
    frame = a_frame(model, ragged(model), solver=solver)
    learn(model, frame, graphs, 1)
    eager, _ = latents_of(model, frame, some_prompts(2))

    assert_same(replayed(model, frame, graphs, 2), eager)


@pytest.mark.parametrize("kind", ["closed-form", "two-tap"])
def test_corrections_are_replayed_with_the_terms_of_their_step(
    model: Model, graphs: Graphs, kind: str
) -> None:
    plain = a_frame(model, uniform(STEPS, model.units.graph, 3))
    frame = replace(plain, correction=a_correction(model, plain, kind))
    learn(model, frame, graphs, 1)
    eager, _ = latents_of(model, frame, some_prompts(2))

    assert_same(replayed(model, frame, graphs, 2), eager)


def test_batches_of_different_sizes_take_turns(model: Model, graphs: Graphs) -> None:
    frame = a_frame(model, uniform(STEPS, model.units.graph, 2))
    for seeds in ((1,), (1, 2), (1, 2, 3)):
        learn(model, frame, graphs, *seeds)
    for seeds in ((4, 5), (4,), (4, 5, 6)):
        eager, _ = latents_of(model, frame, some_prompts(*seeds))

        assert_same(replayed(model, frame, graphs, *seeds), eager)
    assert graphs.count == 3 * distinct_rows(model, frame.schedule)


def test_steps_without_a_graph_go_on_from_replayed_ones(model: Model, graphs: Graphs) -> None:
    learn(model, a_frame(model, uniform(STEPS, model.units.graph, 2)), graphs)
    frame = a_frame(model, ragged(model))
    mixed, _ = latents_of(model, frame, some_prompts(2), graphs=graphs)
    eager, _ = latents_of(model, frame, some_prompts(2))

    assert 0 < graphs.replays < STEPS
    assert_same(mixed, eager)


def test_graphs_of_many_rows_share_their_memory(model: Model, graphs: Graphs) -> None:
    learn(model, a_frame(model, 1), graphs)
    one_bytes = reserved_bytes()
    for rule in RULES.values():
        learn(model, a_frame(model, rule(model)), graphs)

    assert graphs.count > len(RULES)
    assert reserved_bytes() - one_bytes < 64 * MIB


def test_dropped_graphs_can_be_made_again(model: Model, graphs: Graphs) -> None:
    frame = a_frame(model, uniform(STEPS, model.units.graph, 2))
    learn(model, frame, graphs, 1)
    held_bytes = torch.cuda.memory_allocated()
    graphs.clear()
    assert torch.cuda.memory_allocated() < held_bytes
    learn(model, frame, graphs, 1)
    eager, _ = latents_of(model, frame, some_prompts(2))

    assert_same(replayed(model, frame, graphs, 2), eager)
    assert torch.cuda.memory_allocated() < held_bytes + MIB


def test_weights_written_in_place_are_what_graphs_compute_with(
    model: Model, graphs: Graphs
) -> None:
    frame, bias = a_frame(model, 2), model.pipe.unet.conv_out.bias
    learn(model, frame, graphs)
    kept = bias.detach().clone()
    with torch.no_grad():
        bias.add_(0.25)
    eager, _ = latents_of(model, frame, some_prompts(2))
    latents = replayed(model, frame, graphs, 2)
    with torch.no_grad():
        bias.copy_(kept)

    assert_same(latents, eager)


def test_rendering_through_graphs_gives_pictures(model: Model, graphs: Graphs) -> None:
    frame = a_frame(model, uniform(STEPS, model.units.graph, 2))
    for _ in range(2):
        made = render(model, some_prompts(1, 2), frame, graphs=graphs)
        graphs.capture()

    assert graphs.replays == STEPS
    assert [png[:4] for png in made.images] == [b"\x89PNG"] * 2


@pytest.mark.parametrize("wanted", [True, False])
def test_a_worker_records_the_steps_of_its_plans_unless_told_not_to(
    models: Callable[[str], Model], tmp_path: Path, wanted: bool
) -> None:
    model = models("sd1")
    side = model.native_size
    book_path(tmp_path, side, side).write_text(json.dumps(book_for(model).to_dict()))
    settings = WorkerSettings(
        model="sd1", store_url="redis://unused", plans=tmp_path, max_batch=2, graphs=wanted
    )
    desk, _ = prepare(model, settings)
    record(desk)
    count = desk.graphs.count
    warm_up(desk)

    assert (desk.graphs.are_on, count > 0, desk.graphs.replays > 0) == (wanted,) * 3
    assert (desk.graphs.count, desk.graphs.wanted) == (count, 0)


class _Waiting(CudaCapturer):
    """Asks for something that no graph can hold: to wait for the device."""

    def capture(self, work: Callable[[], None]) -> Any:
        def waiting() -> None:
            work()
            torch.cuda.current_stream().synchronize()

        return super().capture(waiting)


def test_a_failed_capture_is_told_once_and_pictures_go_on(
    models: Callable[[str], Model], caplog: pytest.LogCaptureFixture
) -> None:
    model = models("sd1")
    frame, stream = a_frame(model, ragged(model)), torch.cuda.current_stream()
    eager, _ = latents_of(model, frame, some_prompts(2))
    graphs = Graphs(_Waiting(model.device))
    with caplog.at_level(logging.WARNING):
        learn(model, frame, graphs)
        learn(model, frame, graphs)
    latents, _ = latents_of(model, frame, some_prompts(2), graphs=graphs)

    told = [record.levelname for record in caplog.records if record.name == "workers.graphs"]
    assert told == ["WARNING"]
    assert (graphs.are_on, graphs.count, graphs.replays) == (False, 0, 0)
    assert torch.cuda.current_stream() == stream
    assert_same(latents, eager)
