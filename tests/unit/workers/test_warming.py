from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from schedules.book import Plan, Quality
from tests.corrections import a_correction
from tests.graph_runs import RULES, replayed
from tests.recorder import Recorder
from tests.rendering import a_frame, latents_of, some_prompts
from tests.tiny_books import book_for, costs_for
from workers.batch import Desk
from workers.graphs import Graphs
from workers.warming import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.capturing import Replay
    from workers.pipeline import Model


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
