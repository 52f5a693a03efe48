"""The time of one run, without what came between."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class OwnTime:
    """A clock in seconds that stands still while a run is paused, for `paused_s` so far."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.paused_s = 0.0

    def __call__(self) -> float:
        """Return the seconds since any moment that were the run's own."""
        return self._clock() - self.paused_s

    def aside(self, other: Callable[[], None]) -> None:
        """Do something else; this clock stands still meanwhile."""
        began_s = self._clock()
        try:
            other()
        finally:
            self.paused_s += self._clock() - began_s
