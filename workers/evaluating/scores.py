"""How close a method's pictures come to others: pair by pair, and as a set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from workers.evaluating.errors import EvaluationError
from workers.frechet import DIMENSIONS, frechet_distance, principal_axes
from workers.quality import Judge

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from workers.quality import PerceptualDistance

    Pixels = NDArray[np.uint8]

BATCH = 16


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over pairs of pictures, and the Fréchet distance of the two sets.

    Identical pictures have 100 dB, an SSIM of 1 and no distance.
    """

    psnr_db: float
    ssim: float
    distance: float
    frechet: float


class Space:
    """The directions in which some pictures' features vary most: where sets are compared."""

    def __init__(self, pictures: Pixels, most: int, distance: PerceptualDistance) -> None:
        """Span at most `most` directions, fewer than there are pictures."""
        self._distance = distance
        features = self._pooled(pictures)
        count = min(DIMENSIONS, most, max(len(pictures) - 1, 1))
        self._axes = principal_axes(features, count)

    @property
    def dimensions(self) -> int:
        """The number of directions."""
        return int(self._axes.shape[1])

    def of(self, pictures: Pixels) -> NDArray[np.float64]:
        """Return where pictures lie, one row each."""
        return np.asarray(self._pooled(pictures) @ self._axes)

    def _pooled(self, pictures: Pixels) -> NDArray[np.float64]:
        batches = (pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH))
        return np.concatenate([self._distance.pooled(batch) for batch in batches])


class Standard:
    """One set of pictures that others are compared with, each with its own counterpart."""

    def __init__(self, pictures: Pixels, space: Space, distance: PerceptualDistance) -> None:
        self._judge, self._space = Judge(pictures, distance), space
        self._points = space.of(pictures)

    def scores(self, pictures: Pixels) -> Scores:
        """Compare as many pictures as the standard has."""
        found = self._judge.fidelity(pictures)
        frechet = frechet_distance(self._space.of(pictures), self._points)
        return Scores(found.psnr_db, found.ssim, 1.0 - found.similarity, frechet)


def pictures_in(folder: Path, width: int, height: int) -> Pixels:
    """Read all pictures of a folder, on white, as B × H × W × 3.

    Raises EvaluationError when there are fewer than two.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found = [picture for path in files if (picture := _picture(path, width, height)) is not None]
    if len(found) < 2:
        raise EvaluationError(f"there are not two pictures in {folder}")
    return np.stack(found)


def _picture(path: Path, width: int, height: int) -> Pixels | None:
    try:
        with Image.open(path) as image:
            shown = image.convert("RGBA")
    except UnidentifiedImageError:
        return None
    page = Image.new("RGBA", shown.size, "white")
    page.alpha_composite(shown)
    return np.asarray(page.convert("RGB").resize((width, height), Image.Resampling.LANCZOS))
