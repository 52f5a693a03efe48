from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from app.contract.jobs import Encoding
from app.contract.ports import Claimed
from tests.rendering import a_frame, some_prompts
from tests.tiny_books import book_for, job_for
from workers.colours import SPLIT, Colours
from workers.images import to_pixels
from workers.previews import Previews, nobody, preview_steps
from workers.sampler import decode, denoise, encode, initial_latents
from workers.solvers import PLACED, SOLVERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from workers.pipeline import Model
    from workers.previews import Draw


@pytest.mark.parametrize(
    ("count", "steps", "shown"),
    [(0, 8, []), (1, 8, [3]), (2, 9, [2, 5]), (3, 4, [0, 1, 2]), (3, 2, [0]), (2, 1, [])],
)
def test_previews_are_spread_evenly_and_leave_the_last_step_alone(
    count: int, steps: int, shown: list[int]
) -> None:
    assert preview_steps(count, steps) == shown


def expected_latents(model: Model, solver: str, steps: int = 6) -> tuple[list[Tensor], Tensor]:
    """Return what each step expects to end with, and what the run ends with."""
    frame, prompts = a_frame(model, steps, solver=solver), some_prompts(1)
    expected: list[Tensor] = []
    with torch.inference_mode():
        conditioning = encode(model, prompts, frame)
        start = initial_latents(model, prompts, frame)
        final, _ = denoise(
            model, conditioning, start, frame, on_denoised=lambda _, seen: expected.append(seen)
        )
    return expected, final


@pytest.mark.parametrize("solver", [*SOLVERS, *PLACED])
def test_what_a_step_expects_comes_closer_to_the_end(tiny: Model, solver: str) -> None:
    expected, final = expected_latents(tiny, solver)
    distances = [float((seen - final).abs().mean()) for seen in expected]

    assert len(distances) == 6
    assert distances[-1] < 0.05 * distances[0]
    assert distances[3] < distances[0]


def claims_for(model: Model, *, full: bool = True) -> list[Claimed]:
    plan = book_for(model).plans[0]
    wishes = [((1, 2), 0, Encoding()), ((3, 4), 2, Encoding("jpeg")), ((5,), 1, Encoding())]
    jobs = [
        job_for(model, plan, seeds=seeds, previews=previews, encoding=encoding, full_previews=full)
        for seeds, previews, encoding in wishes
    ]
    return [Claimed(job, token=1, left_ms=1e5, waited_ms=0.0, attempt=1) for job in jobs]


def some_latents(model: Model) -> Tensor:
    """Return the latents of all five pictures."""
    return torch.randn(5, *expected_latents(model, "ddim", 1)[1].shape[1:])


def a_map(model: Model) -> Colours:
    """Return what draws latents of a model in some colours."""
    channels = model.pipe.unet.config.in_channels
    weights = torch.randn(channels + 1, 3, generator=torch.Generator().manual_seed(1))
    return Colours(weights.repeat_interleave(SPLIT**2, 1))


def shown_by(
    model: Model,
    colours: Colours | None,
    claims: Sequence[Claimed],
    latents: Tensor,
    *,
    in_full: bool = True,
) -> list[tuple[Claimed, int, bytes]]:
    """Return all previews of a run of six steps that expects the same after each."""
    shown: list[tuple[Claimed, int, bytes]] = []

    def show(claim: Claimed, number: int, draw: Draw) -> None:
        shown.append((claim, number, draw()))

    previews = Previews(model, colours, claims, 6, show, in_full=in_full)
    for step in range(6):
        previews(step, latents)
    return shown


@torch.inference_mode()
def test_each_job_is_shown_its_own_first_picture(tiny: Model) -> None:
    claims, latents = claims_for(tiny), some_latents(tiny)
    shown = shown_by(tiny, a_map(tiny), claims, latents)

    _, two, one = claims
    assert [(c.job.id, number) for c, number, _ in shown] == [
        (two.job.id, 0), (one.job.id, 0), (two.job.id, 1)
    ]  # fmt: skip
    assert Image.open(BytesIO(shown[0][2])).format == "JPEG"
    last = np.array(Image.open(BytesIO(shown[1][2])))
    assert np.abs(last.astype(int) - to_pixels(decode(tiny, latents))[4]).max() <= 1


@torch.inference_mode()
def test_small_previews_are_drawn_by_the_colours_of_latents(tiny: Model) -> None:
    claims, colours = claims_for(tiny, full=False), a_map(tiny)
    latents = torch.randn(5, 4, 1, 1).expand_as(some_latents(tiny))  # smooth, as JPEG likes it
    shown = shown_by(tiny, colours, claims, latents)
    last = Image.open(BytesIO(shown[1][2]))
    small = Image.fromarray(to_pixels(colours(latents[4:]))[0])
    expected = np.array(small.resize(last.size, Image.Resampling.BICUBIC), int)

    assert [image.format for image in (Image.open(BytesIO(s[2])) for s in shown)] == ["JPEG"] * 3
    assert last.size == (claims[0].job.width, claims[0].job.height)
    assert np.abs(np.array(last, int) - expected).mean() < 4


@torch.inference_mode()
def test_where_colours_are_unknown_previews_are_decoded_in_full(tiny: Model) -> None:
    latents = some_latents(tiny)
    shown = shown_by(tiny, None, claims_for(tiny, full=False), latents)
    last = np.array(Image.open(BytesIO(shown[1][2])))

    assert np.abs(last.astype(int) - to_pixels(decode(tiny, latents))[4]).max() <= 1


@torch.inference_mode()
def test_without_time_only_small_previews_are_shown(tiny: Model) -> None:
    full, small = claims_for(tiny)[2], claims_for(tiny, full=False)[2]
    shown = shown_by(tiny, a_map(tiny), [full, small], some_latents(tiny), in_full=False)

    assert [claim.job.id for claim, _, _ in shown] == [small.job.id]


def test_a_small_preview_of_a_large_picture_stays_small(tiny: Model) -> None:
    (claim,) = claims_for(tiny, full=False)[2:]
    wide = claim.copy(job=claim.job.copy(width=1024, height=512))
    shown = shown_by(tiny, a_map(tiny), [wide], torch.randn(1, 4, 64, 128))

    assert Image.open(BytesIO(shown[0][2])).size == (256, 128)


def test_the_time_that_previews_take_is_known_beforehand(tiny: Model) -> None:
    previews = Previews(tiny, a_map(tiny), claims_for(tiny), 6, nobody)

    assert previews.remaining_ms(10.0) == [30.0, 30.0, 20.0, 10.0, 0.0, 0.0, 0.0]


def test_small_previews_take_no_time_worth_predicting(tiny: Model) -> None:
    previews = Previews(tiny, a_map(tiny), claims_for(tiny, full=False), 6, nobody)

    assert previews.remaining_ms(10.0) == [0.0] * 7
