from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageFont, features

from workers.demo.drawing import draw_file, draw_glyph, draw_svg, main_colour, open_font
from workers.demo.errors import ToolMissing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RED = (220, 20, 30)


def png(size: tuple[int, int], box: tuple[int, int, int, int]) -> bytes:
    image = Image.new("RGBA", size, (0, 0, 0, 0))
    image.paste((*RED, 255), box)
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def svg(shape: str) -> bytes:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 36 36">{shape}</svg>'.encode()


def inked(picture: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(picture.min(axis=2) < 128)
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def filled(colour: tuple[int, int, int], share: float = 0.5) -> NDArray[np.uint8]:
    picture = np.full((20, 20, 3), 255, np.uint8)
    picture[: round(20 * share)] = colour
    return picture


def test_a_picture_is_square_pixels_of_three_channels() -> None:
    picture = draw_file(png((50, 30), (0, 0, 50, 30)), 24)

    assert picture.shape == (24, 24, 3)
    assert picture.dtype == np.uint8


def test_what_is_transparent_is_white() -> None:
    picture = draw_file(png((50, 50), (0, 10, 50, 40)), 24)

    assert picture[0].min() == 255
    assert picture[12, 12].tolist() == list(RED)


def test_a_small_thing_in_a_corner_fills_the_picture_but_for_a_margin() -> None:
    assert inked(draw_file(png((200, 200), (150, 10, 190, 50)), 48)) == (2, 45, 2, 45)


def test_proportions_are_kept() -> None:
    assert inked(draw_file(png((100, 100), (0, 0, 80, 40)), 48)) == (13, 34, 2, 45)


def test_an_svg_is_drawn_in_its_colours() -> None:
    picture = draw_svg(svg('<circle cx="9" cy="9" r="6" fill="#0000ff"/>'), 32)

    assert picture[16, 16].tolist() == [0, 0, 255]
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert inked(picture) == (2, 29, 2, 29)


def test_an_empty_picture_is_white() -> None:
    assert draw_svg(svg(""), 16).min() == 255


@pytest.fixture
def font() -> ImageFont.FreeTypeFont:
    """Return the font that comes with Pillow."""
    found = ImageFont.load_default(20)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


def test_a_glyph_is_a_picture(font: ImageFont.FreeTypeFont) -> None:
    picture = draw_glyph("I", font, 16)

    assert picture is not None
    assert picture.shape == (16, 16, 3)


@pytest.mark.parametrize("text", [" ", "oooooo"], ids=["no ink", "several glyphs"])
def test_what_is_not_one_glyph_with_ink_is_no_picture(
    font: ImageFont.FreeTypeFont, text: str
) -> None:
    assert draw_glyph(text, font, 16) is None


def test_a_pillow_that_cannot_join_emoji_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(features, "check", lambda _: False)

    with pytest.raises(ToolMissing, match="Raqm"):
        open_font(tmp_path / "font.ttf")


@pytest.mark.parametrize(
    ("colour", "name"),
    [
        (RED, "red"),
        ((234, 40, 80), "red"),
        ((244, 144, 12), "orange"),
        ((255, 204, 77), "yellow"),
        ((119, 178, 85), "green"),
        ((59, 136, 195), "blue"),
        ((146, 102, 204), "purple"),
        ((193, 105, 79), None),
        ((120, 120, 120), None),
        ((30, 10, 10), None),
        ((255, 255, 255), None),
    ],
)
def test_a_vivid_colour_has_a_name(colour: tuple[int, int, int], name: str | None) -> None:
    assert main_colour(filled(colour)) == name


def test_two_colours_are_no_main_colour() -> None:
    picture = filled(RED)
    picture[:5] = (0, 0, 255)

    assert main_colour(picture) is None


def test_a_dot_of_colour_is_no_main_colour() -> None:
    assert main_colour(filled(RED, share=0.1)) == "red"
    assert main_colour(filled(RED, share=0.02)) is None
