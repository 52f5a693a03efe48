"""Pictures as tensors and as PNG."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

PNG_EFFORT = 4


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Turn pictures in [-1, 1], B × 3 × H × W, into 8-bit pixels, B × H × W × 3."""
    unit = (images * 0.5 + 0.5).clamp(0, 1)
    floats = unit.cpu().permute(0, 2, 3, 1).float().numpy()
    return (floats * 255).round().astype(np.uint8)


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """Turn 8-bit pixels, B × H × W × 3, into pictures in [-1, 1], B × 3 × H × W."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode H × W × 3 pixels as PNG."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=PNG_EFFORT)
    return buffer.getvalue()


def grid(pictures: Sequence[NDArray[np.uint8]], columns: int, gap: int = 4) -> NDArray[np.uint8]:
    """Lay pictures of one size out in rows of `columns` on white."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    sheet = np.full(shape, 255, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet
