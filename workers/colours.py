"""What latents look like, by a linear map: a small picture for next to nothing.

The map is fitted in some seconds, before a worker serves: nothing of it has to be kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    Sample = tuple[Tensor, Tensor]

# A latent becomes SPLIT × SPLIT pixels: one each hides what latents of many channels know.
SPLIT = 2
# Beside the mean square of the inputs: channels that a few pictures leave open stay small.
RIDGE = 1e-4


@dataclass(frozen=True, slots=True)
class Colours:
    """Gives latents, B × C × h × w, the colours of SPLIT × SPLIT pixels each, nearly in [-1, 1].

    `weights` is (C + 1) × 3·SPLIT², the last row for what does not depend on the latents.
    """

    weights: Tensor

    def __call__(self, latents: Tensor) -> Tensor:
        """Return small pictures, B × 3 × SPLIT·h × SPLIT·w, on the weights' device."""
        *linear, constant = self.weights.split((len(self.weights) - 1, 1))
        mixed = torch.einsum("bchw,ck->bkhw", latents.to(self.weights), *linear)
        return functional.pixel_shuffle(mixed + constant.view(1, -1, 1, 1), SPLIT)


def fitted(samples: Sequence[Sample]) -> Colours:
    """Fit the map by least squares to latents, C × h × w, and their pictures, 3 × H × W.

    Pixels are averaged over what each small pixel covers.
    """
    inputs = torch.cat([_inputs(latents) for latents, _ in samples])
    targets = torch.cat([_targets(picture, latents) for latents, picture in samples])
    gram = inputs.T @ inputs
    ridge = RIDGE * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    weights: Tensor = torch.linalg.solve(gram + ridge, inputs.T @ targets)
    return Colours(weights.float().to(samples[0][0].device))


def _inputs(latents: Tensor) -> Tensor:
    rows = _rows(latents)
    return torch.cat([rows, rows.new_ones(len(rows), 1)], 1)


def _targets(picture: Tensor, latents: Tensor) -> Tensor:
    height, width = latents.shape[-2:]
    small = functional.adaptive_avg_pool2d(picture.float(), (SPLIT * height, SPLIT * width))
    return _rows(functional.pixel_unshuffle(small, SPLIT))


def _rows(maps: Tensor) -> Tensor:
    """Return what lies at each place, one row a place."""
    return maps.detach().cpu().double().flatten(1).T
