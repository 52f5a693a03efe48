"""Turn picture files, SVG and glyphs into small square pictures on white."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features
from resvg_py import svg_to_bytes

from workers.demo.errors import ToolMissing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MARGIN = 1 / 24
FAINT = 24
SVG_SIDE = 256
# Fonts with bitmap glyphs have exactly one size.
FONT_SIZE = 109

# Where each colour ends on the circle of hues, in degrees; red lies on both sides of zero.
HUES = (
    ("red", 18),
    ("orange", 40),
    ("yellow", 60),
    ("green", 165),
    ("blue", 255),
    ("purple", 295),
    ("pink", 340),
    ("red", 361),
)
WARM_END = 40
LEAST_DRAWN = 0.05
LEAST_OF_DRAWN = 0.65


def draw_file(data: bytes, side: int) -> NDArray[np.uint8]:
    """Draw a PNG or WebP file as side × side × 3 pixels."""
    return _fit(Image.open(BytesIO(data)).convert("RGBA"), side)


def draw_svg(data: bytes, side: int) -> NDArray[np.uint8]:
    """Draw an SVG file as side × side × 3 pixels."""
    png = svg_to_bytes(svg_string=data.decode(), width=SVG_SIDE, height=SVG_SIDE)
    return draw_file(bytes(png), side)


def open_font(path: Path) -> ImageFont.FreeTypeFont:
    """Open a font of coloured bitmaps; raises ToolMissing when Pillow cannot join code points."""
    if not features.check("raqm"):
        raise ToolMissing("this Pillow was built without Raqm, which joins emoji of several parts")
    return ImageFont.truetype(path, FONT_SIZE, layout_engine=ImageFont.Layout.RAQM)


def draw_glyph(text: str, font: ImageFont.FreeTypeFont, side: int) -> NDArray[np.uint8] | None:
    """Draw the glyph of an emoji as side × side × 3 pixels; None when the font has none."""
    width = font.getlength(text)
    canvas = Image.new("RGBA", (round(1.5 * width), round(1.5 * width)), (255, 255, 255, 0))
    ImageDraw.Draw(canvas).text((0, 0), text, font=font, embedded_color=True)
    # An unknown code point leaves no ink; an unknown sequence falls apart into several glyphs.
    if canvas.getbbox() is None or width > font.getlength("\N{GRINNING FACE}"):
        return None
    return _fit(canvas, side)


def _fit(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """Lay the visible part of a picture with transparency out on a white square."""
    visible = image.getchannel("A").point(lambda alpha: 255 * (alpha > FAINT))
    inked = image.crop(visible.getbbox())
    square = round(max(inked.size) / (1 - 2 * MARGIN))
    canvas = Image.new("RGBA", (square, square), "white")
    canvas.alpha_composite(inked, ((square - inked.width) // 2, (square - inked.height) // 2))
    small = canvas.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(small)


def main_colour(picture: NDArray[np.uint8]) -> str | None:
    """Name the colour of most of what is drawn in an H × W × 3 picture; None when there is none.

    Only vivid colours count: white, grey, black and brown things have no main colour.
    """
    hues, saturation, value = np.moveaxis(np.asarray(Image.fromarray(picture).convert("HSV")), 2, 0)
    degrees = hues * (360 / 255)
    # Brown is a dark or pale orange or red.
    warm = degrees < WARM_END
    vivid = (saturation > np.where(warm, 150, 110)) & (value > np.where(warm, 205, 140))
    drawn = int(((saturation > 20) | (value < 235)).sum())
    names = Counter(_colours(degrees[vivid])).most_common(1)
    enough = max(LEAST_OF_DRAWN * drawn, LEAST_DRAWN * hues.size)
    return next((name for name, count in names if count >= enough), None)


def _colours(degrees: NDArray[np.float64]) -> list[str]:
    names, ends = zip(*HUES, strict=True)
    return [names[i] for i in np.searchsorted(ends, degrees, side="right")]
