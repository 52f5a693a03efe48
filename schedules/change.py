"""How much each unit's cached value changes from step to step."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from schedules.errors import InvalidProfile

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class ChangeProfile:
    """Relative change of every unit at every step of an uncached run.

    `mean[u][s-1]` and `std[u][s-1]` are taken over the samples of d_u(s), s = 1..S−1 (Wimbauer et
    al., CVPR 2024, eq. 6, with the later step in the denominator):

        d_u(s) = ‖C_u(s) − C_u(s−1)‖₁ / ‖C_u(s)‖₁

    Raises InvalidProfile when the two tables differ in shape or hold negative numbers.
    """

    mean: tuple[tuple[float, ...], ...]
    std: tuple[tuple[float, ...], ...]
    samples: int

    def __post_init__(self) -> None:
        if [len(m) for m in self.mean] != [len(s) for s in self.std] or not self.mean:
            raise InvalidProfile("means and deviations must have the same units and steps")
        if len({len(m) for m in self.mean}) != 1:
            raise InvalidProfile("every unit needs a change for every step")
        if any(value < 0 for table in (self.mean, self.std) for unit in table for value in unit):
            raise InvalidProfile("a change cannot be negative")

    @property
    def steps(self) -> int:
        """Number of denoising steps of the measured run."""
        return len(self.mean[0]) + 1

    @property
    def units(self) -> int:
        """Number of measured units."""
        return len(self.mean)

    def over(self, units: Sequence[int]) -> tuple[Moments, ...]:
        """Return the moments of each step over some units and all samples."""
        means = zip(*(self.mean[u] for u in units), strict=True)
        deviations = zip(*(self.std[u] for u in units), strict=True)
        return tuple(map(_pooled, means, deviations))


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and standard deviation."""

    mean: float
    std: float


def _pooled(means: Sequence[float], deviations: Sequence[float]) -> Moments:
    """Return the moments of groups of one size taken together."""
    mean = fmean(means)
    square = fmean(m * m + d * d for m, d in zip(means, deviations, strict=True))
    return Moments(mean, max(square - mean * mean, 0.0) ** 0.5)
