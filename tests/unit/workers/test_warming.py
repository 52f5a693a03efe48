from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from tests.graph_runs import a_desk, replayed
from tests.recorder import Recorder
from tests.rendering import a_frame, latents_of, some_prompts
from workers.graphs import Graphs
from workers.warming import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.capturing import Replay
    from workers.pipeline import Model


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
