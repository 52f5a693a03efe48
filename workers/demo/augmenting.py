"""Small changes after which a picture shows the same thing, like those of generated pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

SHIFT = 0.04  # of the side, either way
SCALE = 0.12
CONTRAST = 0.12
TINT = 12.0  # of 255 levels
BLUR = (0.05, 1.25)  # deviation in pixels of a picture 64 pixels wide
WHITE = 255.0


def changed(pictures: NDArray[np.uint8], generator: torch.Generator) -> NDArray[np.uint8]:
    """Return N pictures moved, scaled, tinted and blurred a little, each in its own way, on white.

    The same for the same state of `generator`.
    """
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    x = _blurred(_tinted(_moved(x, generator), generator), generator)
    levels = x.round().clamp(0, 255).to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().numpy()


def _either_way(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator) * 2 - 1


def _moved(x: Tensor, generator: torch.Generator) -> Tensor:
    maps = torch.zeros(len(x), 2, 3)
    maps[:, 0, 0] = maps[:, 1, 1] = 1 + SCALE * _either_way(generator, len(x))
    maps[:, :, 2] = 2 * SHIFT * _either_way(generator, len(x), 2)
    places = functional.affine_grid(maps, list(x.shape), align_corners=False)
    return functional.grid_sample(x - WHITE, places, align_corners=False) + WHITE


def _tinted(x: Tensor, generator: torch.Generator) -> Tensor:
    contrast = 1 + CONTRAST * _either_way(generator, len(x), 1, 1, 1)
    return (x - WHITE / 2) * contrast + WHITE / 2 + TINT * _either_way(generator, len(x), 3, 1, 1)


def _blurred(x: Tensor, generator: torch.Generator) -> Tensor:
    count, channels, _height, width = x.shape
    least, most = (deviation * width / 64 for deviation in BLUR)
    deviation = least + (most - least) * torch.rand(count, 1, generator=generator)
    reach = int(2 * most) + 1
    offsets = torch.arange(-reach, reach + 1)
    line = torch.softmax(-(offsets.square() / (2 * deviation.square())), dim=1)
    kernels = (line[:, :, None] * line[:, None, :]).repeat_interleave(channels, 0).unsqueeze(1)
    wide = functional.pad(x, (reach,) * 4, mode="replicate").flatten(0, 1).unsqueeze(0)
    return functional.conv2d(wide, kernels, groups=count * channels).view_as(x)
