"""Does a model copy? How near pictures come to the pictures that were trained on."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
import torch

from workers.demo.figures import Nearness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from workers.quality import PerceptualDistance

BATCH = 16
COPY_PERCENTILE = 90.0


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """For each of N pictures its nearest training picture: perceptual distance and position."""

    distances: NDArray[np.float64]
    positions: NDArray[np.intp]

    def split(self, counts: Sequence[int]) -> list[Nearest]:
        """Return the first `counts[0]` pictures, the next `counts[1]` and so on."""
        ends = np.cumsum(counts)[:-1]
        parts = zip(np.split(self.distances, ends), np.split(self.positions, ends), strict=True)
        return [Nearest(distances, positions) for distances, positions in parts]


def nearest(
    pictures: NDArray[np.uint8],
    training: NDArray[np.uint8],
    own: NDArray[np.intp],
    distance: PerceptualDistance,
    progress: Callable[[int, int], None],
) -> Nearest:
    """Compare N pictures with all training pictures, of the same size.

    `own` holds for each picture the position of a training picture that does not count, or -1.
    """
    asked = torch.cat([_vectors(part, distance) for part in _batches(pictures)])
    columns, done = [], 0
    for part in _batches(training):
        columns.append(_squared_distances(asked, _vectors(part, distance)))
        done += len(part)
        progress(done, len(training))
    table = np.concatenate(columns, axis=1)
    known = np.flatnonzero(own >= 0)
    table[known, own[known]] = np.inf
    return Nearest(table.min(1), table.argmin(1))


def copy_threshold(
    real: NDArray[np.uint8], copies: NDArray[np.uint8], distance: PerceptualDistance
) -> float:
    """Return the distance within which nine of ten copies are from the N pictures they are of."""
    pairs = zip(_batches(real), _batches(copies), strict=True)
    found = [distance.between(distance.features(a), distance.features(b)) for a, b in pairs]
    return float(np.percentile(np.concatenate(found), COPY_PERCENTILE))


def nearness(distances: NDArray[np.float64], threshold: float) -> Nearness:
    """Sum up N distances to the nearest training picture; near copies are within the threshold."""
    low, middle, high = (float(value) for value in np.percentile(distances, (10, 50, 90)))
    return Nearness(len(distances), low, middle, high, float((distances <= threshold).mean()))


def _batches(pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]


def _vectors(pictures: NDArray[np.uint8], distance: PerceptualDistance) -> Tensor:
    """Return one vector a picture; squared distances of vectors are perceptual distances."""
    stages = distance.features(pictures)
    return torch.cat([x.flatten(1) / sqrt(x[0, 0].numel() * len(stages)) for x in stages], dim=1)


def _squared_distances(left: Tensor, right: Tensor) -> NDArray[np.float64]:
    lengths = left.square().sum(1)[:, None] + right.square().sum(1)
    return (lengths - 2 * left @ right.T).clamp(min=0).double().cpu().numpy()
