"""Prompts in, picture files out, and how long each stage of that took."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.rendering import a_frame, some_prompts
from workers.rendering import render

if TYPE_CHECKING:
    from workers.pipeline import Model


def read(png: bytes) -> np.ndarray:
    return np.array(Image.open(BytesIO(png))).astype(int)


def test_pictures_of_a_batch_are_those_made_alone(tiny: Model) -> None:
    frame = a_frame(tiny, 3, solver="dpmpp_2m")
    together = render(tiny, some_prompts(1, 2), frame).images
    for image, seed in zip(together, (1, 2), strict=True):
        (alone,) = render(tiny, some_prompts(seed), frame).images

        assert abs(read(image) - read(alone)).max() <= 1


def test_every_stage_of_a_rendering_takes_time(tiny: Model) -> None:
    made = render(tiny, some_prompts(1), a_frame(tiny, 2))
    stages = (made.encode_ms, made.denoise_ms, made.decode_ms, made.png_ms)

    assert min(stages) > 0
    assert made.total_ms == pytest.approx(sum(stages))
