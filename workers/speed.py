"""How fast this machine is by now, against the costs that were measured at start."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from schedules.cost import drift_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schedules.cost import CostModel
    from workers.batch import Ran

RUNS_KEPT = 64


class Speed:
    """The costs of now: those measured once, corrected by what recent runs really took.

    `ratios` are the actual ÷ measured times of pictures made so far.
    """

    def __init__(self, measured: CostModel, ratios: Sequence[float] = ()) -> None:
        self._ratios = deque(ratios, maxlen=RUNS_KEPT)
        self._strays: deque[float] = deque(maxlen=RUNS_KEPT)
        self.costs = measured
        self._correct()

    def ran(self, ran: Ran) -> None:
        """Learn from a batch that was predicted with the costs of now."""
        if ran.tail_ms:
            self._strays.append(ran.stray)
        self.probed(ran.slowness * self.costs.drift.median)

    def probed(self, ratio: float) -> None:
        """Learn from a picture's actual ÷ measured time."""
        self._ratios.append(ratio)
        self._correct()

    def _correct(self) -> None:
        self.costs = self.costs.drifted(drift_of(self._ratios, self._strays))


class Idleness:
    """Says when a worker has idled for so long that it no longer knows how fast it is.

    That is after `first_s`, and then after pauses that double up to `most_s`, until it works again.
    """

    def __init__(
        self, first_s: float, most_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._clock = clock
        self.worked()

    def worked(self) -> None:
        """Begin anew after work."""
        self._pause_s = self._first_s
        self._due_s = self._clock() + self._pause_s

    def probed(self) -> None:
        """Wait for longer than the last time."""
        self._pause_s = min(2 * self._pause_s, self._most_s)
        self._due_s = self._clock() + self._pause_s

    @property
    def is_long(self) -> bool:
        """Whether it is time for a probe."""
        return self._clock() >= self._due_s
