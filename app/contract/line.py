"""Who waits for a worker, as the queue shows it to those who choose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from schedules.sharing import Crowd, expected

if TYPE_CHECKING:
    from schedules.ladder import Ladder
    from schedules.sharing import Arrival, Waiting


class Queued(NamedTuple):
    """A waiting job as the queue knows it; those of one class can run as one batch."""

    id: str
    batch_class: str
    waiting: Waiting
    predicted_ms: float


@dataclass(frozen=True)
class Line:
    """The most urgent of those who wait in a lane, in deadline order, and what came of late.

    `workers` counts live workers of the lane, this one included.
    """

    queued: tuple[Queued, ...]
    arrivals: tuple[Arrival, ...] = ()
    workers: int = 1

    def crowd(self, ladder: Ladder) -> Crowd:
        """Return them by a ladder, the same crowd whoever asks."""
        known = self._crowds.get(id(ladder))  # a crowd holds its ladder: no other gets that id
        if known is None:
            waiting = tuple(queued.waiting for queued in self.queued)
            known = self._crowds[id(ladder)] = Crowd(waiting, self.coming, ladder)
        return known

    @cached_property
    def _crowds(self) -> dict[int, Crowd]:
        return {}

    def predicted_ms(self, jobs: int) -> float:
        """Return the work of the first so many of those who wait, as it was predicted."""
        return self._predicted_ms[min(jobs, len(self.queued))]

    @cached_property
    def _predicted_ms(self) -> tuple[float, ...]:
        return tuple(accumulate((queued.predicted_ms for queued in self.queued), initial=0.0))

    @cached_property
    def coming(self) -> tuple[Waiting, ...]:
        """Those who are expected after what came of late."""
        return tuple(expected(self.arrivals))
