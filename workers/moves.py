"""What a UNet call does with a cache, apart from the numbers it does it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schedules.schedule import Work
    from workers.cached_unet import CacheRun


@dataclass(frozen=True, slots=True)
class Move:
    """What decides which kernels a UNet call runs, and on which of the cached values.

    `fixed` names the reused units that are corrected and says whether from two values, `forecast`
    the computed units whose last value is kept beside the new one.
    """

    row: tuple[Work, ...]
    fixed: tuple[tuple[int, bool], ...] = ()
    forecast: tuple[int, ...] = ()


def moves_of(run: CacheRun, steps: int) -> Iterator[Move]:
    """Yield the move of each step of a run that has not begun; it is of no use afterwards."""
    for step in range(steps):
        run.begin_step(step)
        yield run.move
        run.replayed()
