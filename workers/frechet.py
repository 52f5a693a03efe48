"""Fréchet distance between two sets of pictures, from features of their pictures.

Heusel et al., NeurIPS 2017, with features of another network: both sets are described by mean and
covariance, as if they were Gaussian. Two things make it sane for few pictures: features are first
projected onto the principal axes of real pictures, fewer than there are pictures, and the trace of
the root of the covariances' product is found without ever forming it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSIONS = 64


def principal_axes(features: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the directions in which N × D features vary most, D × `count` or fewer columns."""
    axes = np.linalg.svd(features - features.mean(0), full_matrices=False)[2]
    return np.asarray(axes[:count].T)


def frechet_distance(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Return |m − m'|² + tr(C + C' − 2 (C C')^½) of N × D and M × D features.

    With C = AᵀA and C' = BᵀB the trace of (C C')^½ is the sum of the singular values of A Bᵀ.
    """
    a, b = _spread(left), _spread(right)
    shift = np.square(left.mean(0) - right.mean(0)).sum()
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return max(float(shift + np.square(a).sum() + np.square(b).sum() - 2 * shared), 0.0)


def _spread(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((features - features.mean(0)) / np.sqrt(max(len(features) - 1, 1)))
