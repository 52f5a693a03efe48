from __future__ import annotations

from io import BytesIO

import numpy as np
import torch
from PIL import Image

from workers.images import grid, to_pixels, to_png


def test_the_ends_of_the_range_are_black_and_white() -> None:
    images = torch.tensor([-1.0, 1.0, -3.0, 3.0, 0.0]).view(5, 1, 1, 1).expand(5, 3, 2, 2)

    assert [int(picture[0, 0, 0]) for picture in to_pixels(images)] == [0, 255, 0, 255, 128]


def test_channels_come_last() -> None:
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 2, 4)
    pixels = to_pixels(red)

    assert pixels.shape == (1, 2, 4, 3)
    assert pixels.dtype == np.uint8
    assert pixels[0, 0, 0].tolist() == [255, 0, 0]


def test_half_precision_pictures_are_pixels_too() -> None:
    assert to_pixels(torch.zeros(1, 3, 2, 2, dtype=torch.float16)).max() == 128


def test_a_png_holds_exactly_the_pixels() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)

    assert np.array_equal(np.array(Image.open(BytesIO(to_png(pixels)))), pixels)


def test_a_grid_lays_pictures_out_on_white() -> None:
    sheet = grid([np.zeros((2, 3, 3), np.uint8)] * 3, columns=2, gap=1)

    assert sheet.shape == (5, 7, 3)
    assert sheet[:2, :3].max() == 0
    assert sheet[2].min() == 255
    assert sheet[3:, 4:].min() == 255
