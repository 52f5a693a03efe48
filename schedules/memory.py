"""Which batches find memory beside one that stands back for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a batch needs beyond the model: at most, and what it keeps between two steps."""

    peak_bytes: float
    held_bytes: float


@dataclass(frozen=True, slots=True)
class MemoryAccount:
    """What batches need of a device's memory, measured, by rising batch size.

    Between two measured sizes it is interpolated, beyond the largest scaled.
    """

    by_batch: tuple[tuple[int, Footprint], ...]

    def at(self, images: int) -> Footprint:
        """Return what so many pictures at once need."""
        sizes = [size for size, _ in self.by_batch]
        scale = max(images / sizes[-1], 1.0)
        peaks, kept = zip(*((f.peak_bytes, f.held_bytes) for _, f in self.by_batch), strict=True)
        return Footprint(*(float(np.interp(images, sizes, row)) * scale for row in (peaks, kept)))

    def beside(self, images: int, max_batch: int) -> int:
        """Return how many pictures can be made while a batch of `images` is paused, at most.

        What both need together is no more than the largest batch does, which is known to fit.
        """
        left_bytes = self.at(max_batch).peak_bytes - self.at(images).held_bytes
        sizes = range(max_batch - images, 0, -1)
        return next((size for size in sizes if self.at(size).peak_bytes <= left_bytes), 0)
