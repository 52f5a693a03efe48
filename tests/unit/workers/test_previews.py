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
from workers.images import to_pixels
from workers.previews import Previews, preview_steps
from workers.sampler import decode, denoise, encode, initial_latents
from workers.solvers import PLACED, SOLVERS

if TYPE_CHECKING:
    from torch import Tensor

    from workers.pipeline import Model


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


def claims_for(model: Model) -> list[Claimed]:
    plan = book_for(model).plans[0]
    wishes = [((1, 2), 0, Encoding()), ((3, 4), 2, Encoding("jpeg")), ((5,), 1, Encoding())]
    jobs = [
        job_for(model, plan, seeds=seeds, previews=previews, encoding=encoding)
        for seeds, previews, encoding in wishes
    ]
    return [Claimed(job, token=1, left_ms=1e5, waited_ms=0.0, attempt=1) for job in jobs]


@torch.inference_mode()
def test_each_job_is_shown_its_own_first_picture(tiny: Model) -> None:
    shown: list[tuple[Claimed, int, bytes]] = []
    claims = claims_for(tiny)
    previews = Previews(tiny, claims, 6, lambda *preview: shown.append(preview))
    latents = torch.randn(5, *expected_latents(tiny, "ddim", 1)[1].shape[1:])
    for step in range(6):
        previews(step, latents)

    _, two, one = claims
    assert [(c.job.id, number) for c, number, _ in shown] == [
        (two.job.id, 0), (one.job.id, 0), (two.job.id, 1)
    ]  # fmt: skip
    assert Image.open(BytesIO(shown[0][2])).format == "JPEG"
    last = np.array(Image.open(BytesIO(shown[1][2])))
    assert np.abs(last.astype(int) - to_pixels(decode(tiny, latents))[4]).max() <= 1


def test_the_time_that_previews_take_is_known_beforehand(tiny: Model) -> None:
    previews = Previews(tiny, claims_for(tiny), 6, lambda *_: None)

    assert previews.remaining_ms(10.0) == [30.0, 30.0, 20.0, 10.0, 0.0, 0.0, 0.0]
