"""How many pictures a worker makes at once: doubled until memory or time says stop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# A batch twice as large keeps those in it twice as long: it must save this share a picture.
GAIN = 0.05
# A moment in which the machine was slow looks like a size that gains nothing: the next is tried.
LOOKS = 2


@dataclass(frozen=True, slots=True)
class Memory:
    """A device's memory around a trial: what was held before, at most during it, and may be."""

    idle_bytes: int
    peak_bytes: int
    limit_bytes: int

    def has_room_for(self, factor: float) -> bool:
        """Return whether a batch `factor` times as large fits, its share growing as it does."""
        return self.idle_bytes + factor * (self.peak_bytes - self.idle_bytes) <= self.limit_bytes


@dataclass(frozen=True, slots=True)
class Trial:
    """One batch size as measured; `memory` is None where the device keeps no account of it."""

    batch: int
    run_ms: float
    memory: Memory | None = None

    @property
    def picture_ms(self) -> float:
        """What one picture of the batch takes."""
        return self.run_ms / self.batch


@dataclass(frozen=True, slots=True)
class Bounds:
    """What no batch may exceed: pictures, and the milliseconds of a run."""

    most: int
    longest_ms: float


def next_size(trials: Sequence[Trial], bounds: Bounds) -> int | None:
    """Return the size to try after these, the first 1; None when no larger one is worth it."""
    if not trials:
        return 1
    last = trials[-1]
    size = min(2 * last.batch, bounds.most)
    factor = size / last.batch
    if factor <= 1 or last.run_ms * factor > bounds.longest_ms:
        return None
    if last.memory is not None and not last.memory.has_room_for(factor):
        return None
    return size if any(gains(trials)[-LOOKS:]) else None


def gains(trials: Sequence[Trial]) -> list[bool]:
    """Return of each size whether its pictures take clearly less than those of all before it."""
    found, least_ms = [], math.inf
    for trial in trials:
        found.append(trial.picture_ms <= least_ms * (1 - GAIN))
        least_ms = min(least_ms, trial.picture_ms)
    return found


def worthwhile(trials: Sequence[Trial]) -> int:
    """Return the largest size that gained."""
    return max(trial.batch for trial, gained in zip(trials, gains(trials), strict=True) if gained)
