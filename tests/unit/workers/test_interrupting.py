"""A generation that others come between is bit for bit the one that nothing came between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from tests.graph_runs import RULES, a_desk
from tests.rendering import a_frame, is_untouched, latents_of, some_prompts
from workers.batch import Desk
from workers.errors import Stopped
from workers.graphs import Graphs
from workers.rendering import render
from workers.sampler import denoise, encode, initial_latents

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from workers.pipeline import Model
    from workers.sampler import Frame


@torch.inference_mode()
def interrupted(
    model: Model, frame: Frame, graphs: Graphs, other: Callable[[], object], *seeds: int
) -> Tensor:
    """Return the latents of a run that `other` comes before every step but the first of."""

    def come() -> None:
        assert is_untouched(model.pipe.unet)
        other()

    prompts = some_prompts(*seeds)
    start = initial_latents(model, prompts, frame)
    conditioning = encode(model, prompts, frame)
    latents, counts = denoise(
        model, conditioning, start, frame, graphs=graphs, between=lambda _: come
    )
    assert counts == frame.schedule.counts(model.units.graph)
    return latents


def frame_of(desk: Desk, plan: int, **how: float) -> Frame:
    made = desk.book.plans[plan]
    frame = a_frame(desk.model, made.schedule, solver=made.solver, **how)
    return type(frame)(
        frame.width, frame.height, frame.guidance_scale, frame.solver, frame.schedule,
        desk.correction_of(made),
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["closed-form", "two-tap"])
@pytest.mark.parametrize("plan", [0, 1, 2], ids=["ddim", "p1.2", "corrected"])
def test_a_run_goes_on_as_if_nothing_had_come_between(model: Model, plan: int, kind: str) -> None:
    desk = a_desk(model, kind)
    frame, another = frame_of(desk, plan), frame_of(desk, (plan + 1) % 3, guidance=1.0)
    plain, _ = latents_of(model, frame, some_prompts(1, 2))

    def other() -> None:
        latents_of(model, another, some_prompts(3))

    assert torch.equal(interrupted(model, frame, Graphs(), other, 1, 2), plain)


@pytest.mark.parametrize("captured", [False, True], ids=["first of its shape", "replayed"])
@pytest.mark.parametrize("plan", [0, 1, 2], ids=["ddim", "p1.2", "corrected"])
def test_runs_of_one_shape_share_their_pins_in_turns(
    tiny: Model, plan: int, captured: bool
) -> None:
    desk = a_desk(tiny, "two-tap")
    graphs, frame, another = desk.graphs, frame_of(desk, plan), frame_of(desk, 2)
    plain, _ = latents_of(tiny, frame, some_prompts(1))
    other_plain, _ = latents_of(tiny, another, some_prompts(3))
    for warm in (frame, another) if captured else ():
        latents_of(tiny, warm, some_prompts(5), graphs=graphs)
        graphs.capture()
    others = []

    def other() -> None:
        others.append(latents_of(tiny, another, some_prompts(3), graphs=graphs)[0])
        graphs.capture()

    assert torch.equal(interrupted(tiny, frame, graphs, other, 1), plain)
    assert all(torch.equal(made, other_plain) for made in others)
    assert graphs.replays > 0


@pytest.mark.parametrize("lose", ["clear", "give_way"])
def test_a_run_goes_on_without_the_graphs_that_were_dropped_meanwhile(
    tiny: Model, lose: str
) -> None:
    desk = a_desk(tiny, "two-tap")
    frame = frame_of(desk, 2)
    plain, _ = latents_of(tiny, frame, some_prompts(1))
    latents_of(tiny, frame, some_prompts(5), graphs=desk.graphs)
    desk.graphs.capture()

    assert torch.equal(interrupted(tiny, frame, desk.graphs, getattr(desk.graphs, lose), 1), plain)


def test_what_fails_between_two_steps_restores_the_unet(tiny: Model) -> None:
    def other() -> None:
        raise Stopped("between")

    with pytest.raises(Stopped, match="between"):
        interrupted(tiny, a_frame(tiny, 3), Graphs(), other, 1)
    assert is_untouched(tiny.pipe.unet)


def test_the_time_of_a_picture_is_its_own(tiny: Model) -> None:
    frame = a_frame(tiny, 3)
    between: list[float] = []

    def other() -> None:
        between.append(render(tiny, some_prompts(2), frame).total_ms)

    made = render(tiny, some_prompts(1), frame, between=lambda step: other if step == 1 else None)

    assert len(between) == 1
    assert made.paused_ms >= between[0]
    assert sum(made.step_ms) <= made.denoise_ms < made.denoise_ms + made.paused_ms


def test_the_picture_of_the_bundled_model_is_the_same_file(emoji: Model) -> None:
    frame = a_frame(emoji, RULES["ragged"](emoji), solver="dpmpp_2m")
    plain = render(emoji, some_prompts(1), frame).images

    def other() -> None:
        render(emoji, some_prompts(2), frame)

    made = render(emoji, some_prompts(1), frame, between=lambda step: other if step == 2 else None)

    assert made.images == plain
