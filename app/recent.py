"""What happened in the last minutes, in a few numbers for each short stretch of time."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.contract.jobs import Result

BUCKET_S = 5
WINDOW_S = 900


@dataclass(slots=True)
class Bucket:
    """Counts of the `BUCKET_S` seconds that begin at `at_unix_s`.

    `in_time` and `late` count requests with pictures, `lost` promises that ended without one.
    """

    at_unix_s: int
    images: int = 0
    in_time: int = 0
    late: int = 0
    lost: int = 0
    computed: int = 0
    reused: int = 0
    skipped: int = 0


class Recent:
    """Counts by stretches of time and forgets them after `WINDOW_S`."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._buckets: deque[Bucket] = deque()

    def finished(self, result: Result, *, met: bool) -> None:
        """Count a request that has its pictures."""
        bucket = self._now()
        bucket.images += len(result.seeds)
        bucket.in_time += met
        bucket.late += not met
        bucket.computed += result.cache.computed
        bucket.reused += result.cache.reused
        bucket.skipped += result.cache.skipped

    def lost(self) -> None:
        """Count a promise that was not kept at all."""
        self._now().lost += 1

    def buckets(self) -> tuple[Bucket, ...]:
        """Return the stretches in which something happened, oldest first."""
        self._forget()
        return tuple(self._buckets)

    def _now(self) -> Bucket:
        at_unix_s = int(self._clock() // BUCKET_S) * BUCKET_S
        self._forget()
        if not self._buckets or self._buckets[-1].at_unix_s != at_unix_s:
            self._buckets.append(Bucket(at_unix_s))
        return self._buckets[-1]

    def _forget(self) -> None:
        oldest_s = self._clock() - WINDOW_S
        while self._buckets and self._buckets[0].at_unix_s < oldest_s:
            self._buckets.popleft()
