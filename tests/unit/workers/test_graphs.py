from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from schedules.book import Plan, Quality
from schedules.rules import EVERY_LAYER, all_compute, deepcache, uniform
from schedules.schedule import Schedule
from tests.corrections import a_correction
from tests.recorder import Recorder
from tests.rendering import a_frame, is_untouched, latents_of, some_prompts
from tests.tiny_books import book_for, costs_for
from workers.batch import Desk
from workers.cached_unet import cached
from workers.errors import Stopped
from workers.graphs import Graphs
from workers.sampler import Walk, denoise, encode, initial_latents
from workers.warming import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from workers.cached_unet import CacheRun
    from workers.capturing import Replay
    from workers.pins import Inputs
    from workers.pipeline import Model
    from workers.sampler import Frame

STEPS = 7


def ragged(model: Model) -> Schedule:
    """Return a schedule of many different rows, one of which reuses the whole output."""
    units = len(model.units.graph)
    rows = [[s == 0 or (s != 3 and (u + s) % 3 > 0) for u in range(units)] for s in range(STEPS)]
    return Schedule.of(rows)


RULES: dict[str, Callable[[Model], Schedule]] = {
    "all": lambda model: all_compute(STEPS, model.units.graph),
    "uniform": lambda model: uniform(STEPS, model.units.graph, 2),
    "uniform-all": lambda model: uniform(STEPS, model.units.graph, 3, EVERY_LAYER),
    "deepcache": lambda model: deepcache(STEPS, model.units.graph, 3),
    "ragged": ragged,
}


def a_desk(model: Model, kind: str = "closed-form") -> Desk:
    """Return a desk of three plans by different solvers, the last of them corrected.

    The more they compute the better they are, so that none is without use.
    """
    tables = (RULES[name](model) for name in ("uniform", "ragged", "uniform-all"))
    solvers = ("ddim", "dpmpp_2m_p1.2", "dpmpp_2m")
    graph = model.units.graph
    plain = [
        Plan.of(solver, "a rule", table, graph, Quality("psnr_db", table.counts(graph).computed))
        for solver, table in zip(solvers, tables, strict=True)
    ]
    frame = a_frame(model, plain[-1].schedule, solver=plain[-1].solver)
    correction = a_correction(model, frame, kind)
    book = book_for(model).with_plans([*plain[:2], replace(plain[2], correction=correction.id)])
    graphs, known = Graphs(Recorder(model.pipe.unet)), {correction.id: correction}
    return Desk("worker-1", model, book, costs_for(model), known, graphs=graphs)


@pytest.fixture
def graphs(tiny: Model) -> Graphs:
    """Return graphs on which nothing has run."""
    return Graphs(Recorder(tiny.pipe.unet))


def distinct_rows(model: Model, schedule: Schedule) -> int:
    return len(set(schedule.work(model.units.graph)))


def replayed(model: Model, frame: Frame, graphs: Graphs, *seeds: int) -> Tensor:
    """Return the latents of a run of which every step was replayed."""
    before, steps = graphs.replays, frame.schedule.steps
    latents, counts = latents_of(model, frame, some_prompts(*seeds), graphs=graphs)
    assert graphs.replays == before + steps
    assert counts == frame.schedule.counts(model.units.graph)
    return latents


def inputs_of_a_step(model: Model, frame: Frame, seed: int = 9) -> Inputs:
    prompts = some_prompts(seed)
    noise = initial_latents(model, prompts, frame)
    return Walk(model, encode(model, prompts, frame), noise, frame).inputs(0)


def learn(model: Model, frame: Frame, graphs: Graphs, *seeds: int) -> None:
    latents_of(model, frame, some_prompts(*seeds), graphs=graphs)
    graphs.capture()


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


def test_batches_of_another_size_have_graphs_of_their_own(tiny: Model, graphs: Graphs) -> None:
    frame = a_frame(tiny, uniform(STEPS, tiny.units.graph, 2))
    learn(tiny, frame, graphs, 1)
    learn(tiny, frame, graphs, 1, 2)
    eager, _ = latents_of(tiny, frame, some_prompts(3, 4))

    assert graphs.count == 4
    assert torch.equal(replayed(tiny, frame, graphs, 3, 4), eager)


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

    assert [r.message.count("not permitted when stream is capturing") for r in caplog.records] == [
        1
    ]
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


def test_a_worker_records_the_steps_of_its_plans_before_any_request(emoji: Model) -> None:
    desk = a_desk(emoji, "two-tap")
    record(desk, within_s=600.0)
    count = desk.graphs.count
    for plan in desk.book.plans:
        plain = a_frame(emoji, plan.schedule, solver=plan.solver)
        frame = replace(plain, correction=desk.correction_of(plan))
        eager, _ = latents_of(emoji, frame, some_prompts(2))

        assert torch.equal(replayed(emoji, frame, desk.graphs, 2), eager)
    assert (desk.graphs.count, desk.graphs.wanted) == (count, 0)


def test_recording_ends_when_its_time_is_over(emoji: Model) -> None:
    desk = a_desk(emoji)
    record(desk, within_s=0.0)

    assert desk.graphs.count == 0


class Scrambling(Recorder):
    """Replays that lose what they made."""

    def capture(self, work: Callable[[], None]) -> Replay:
        work()
        return super().capture(lambda: None)


def test_graphs_that_make_another_picture_are_not_used(
    emoji: Model, caplog: pytest.LogCaptureFixture
) -> None:
    desk = a_desk(emoji)
    desk = replace(desk, graphs=Graphs(Scrambling(emoji.pipe.unet)))
    with caplog.at_level(logging.WARNING):
        record(desk)

    assert not desk.graphs.are_on
    assert "levels" in caplog.text
