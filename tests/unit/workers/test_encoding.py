from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import ExifTags, Image

from app.contract.jobs import Encoding
from workers.encoding import FORMATS, to_file

TEXT = "a cat, 猫\nSteps: 4, Sampler: DDIM, Seed: 7"
LOSSY = ("jpeg", "webp")


def pixels() -> np.ndarray:
    rows = np.linspace(0, 255, 64)[:, None, None] * np.linspace(0, 1, 48)[None, :, None]
    noise = np.random.default_rng(1).integers(0, 40, (64, 48, 3))
    return np.clip(rows + noise, 0, 255).astype(np.uint8)


def opened(file: bytes) -> Image.Image:
    return Image.open(BytesIO(file))


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_has_the_format_and_size_that_was_asked_for(name: str) -> None:
    picture = opened(to_file(pixels(), Encoding(name)))

    assert (picture.format, picture.size) == (name.upper(), (48, 64))


def test_a_png_holds_exactly_the_pixels() -> None:
    assert np.array_equal(np.array(opened(to_file(pixels(), Encoding()))), pixels())


@pytest.mark.parametrize("name", LOSSY)
def test_more_quality_is_closer_and_larger(name: str) -> None:
    files = [to_file(pixels(), Encoding(name, quality)) for quality in (10, 95)]
    errors = [np.abs(np.array(opened(f)).astype(int) - pixels()).mean() for f in files]

    assert errors[0] > errors[1]
    assert len(files[0]) < len(files[1])


def test_a_png_carries_its_settings_as_text() -> None:
    assert opened(to_file(pixels(), Encoding(), TEXT)).info["parameters"] == TEXT


@pytest.mark.parametrize("name", LOSSY)
def test_other_formats_carry_their_settings_as_a_user_comment(name: str) -> None:
    exif = opened(to_file(pixels(), Encoding(name), TEXT)).getexif()
    comment = exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment]

    assert comment[:8] == b"UNICODE\0"
    assert comment[8:].decode("utf-16-be") == TEXT


@pytest.mark.parametrize("name", FORMATS)
def test_no_settings_are_told_when_that_is_not_wanted(name: str) -> None:
    secret = to_file(pixels(), Encoding(name, described=False), TEXT)

    assert secret == to_file(pixels(), Encoding(name))
