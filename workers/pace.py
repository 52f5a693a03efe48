"""Whether a running batch keeps what it promised, asked after every step."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schedules.pausing import Underway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from schedules.steering import Steering
    from workers.cached_unet import CacheRun
    from workers.lease import Lease

# How much of the predicted time the prediction counts for beside what the run itself took so far.
TRUST = 0.5
# With more than this much of its predicted time left a run is not steered: there is no hurry, and
# the same seed gives the same picture.
AMPLE = 2.0


@dataclass(frozen=True, slots=True)
class Promise:
    """What a batch is held to: a predicted end, and a deadline on the monotonic clock.

    `remaining_ms[s]` is what the run should still take after step s, to the encoded picture;
    `reserve_ms` how much longer that may well take. A run that is not `loose` computes no less
    than its plan says, however late it is.
    """

    predicted_ms: float
    remaining_ms: Sequence[float]
    deadline_s: float
    reserve_ms: float = 0.0
    loose: bool = True


class Pace:
    """The per-step callback of a batch: progress, cancellation, and steering towards the promise.

    A run that would end before its predicted time computes more in its next steps, one that would
    end after it computes less. When the rest no longer fits before the deadline, the next step
    reuses all it can: a slightly poorer picture in time instead of a better one too late.
    `must_stop` says whether the worker itself has to be done by now.

    A pause moves the promised end on, up to the deadline, and nothing that is told of speed.
    """

    def __init__(
        self,
        lease: Lease,
        promise: Promise,
        steering: Steering,
        must_stop: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease = lease
        self._promise = promise
        self._steering = steering
        self._must_stop = must_stop
        self._clock = clock
        self._started_s = clock()
        predicted_s = promise.predicted_ms / 1e3
        left_s = promise.deadline_s - self._started_s
        self._aim_s = self._started_s + min(predicted_s, left_s)
        self.steers = left_s <= AMPLE * predicted_s
        self._step = -1
        self._added_ms = 0.0
        self.hurried_steps = 0
        self.extended_steps = 0

    @property
    def worked_ms(self) -> float:
        """The time predicted for what really ran, more or less than the plan."""
        return self._promise.predicted_ms + self._added_ms

    def __call__(self, step: int, run: CacheRun, _latents: Tensor) -> bool:
        """Return whether anybody still waits for the batch."""
        self._lease.step, self._step = step + 1, step
        if step + 1 < len(self._promise.remaining_ms):
            self._steer(step, run)
        return bool(self._lease.wanted) and not self._must_stop()

    def _steer(self, step: int, run: CacheRun) -> None:
        now_s = self._clock()
        stretch = self._stretch_after(step, now_s)
        if self.is_late(step, now_s, stretch):
            row, added_ms = self._steering.shortest(step + 1)
        else:
            row, added_ms = self._steering.steered(step + 1, self._spare_ms(step, now_s, stretch))
        if added_ms:
            run.follow(row)
        self._added_ms += added_ms
        self.hurried_steps += added_ms < 0
        self.extended_steps += added_ms > 0

    @property
    def underway(self) -> Underway:
        """What is left of the run now, between two steps."""
        now_s, step = self._clock(), self._step
        rest_ms = self._promise.remaining_ms[step] * self._stretch_after(step, now_s)
        return Underway.predicted((self._promise.deadline_s - now_s) * 1e3, rest_ms)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the time inside this context for none of the run's own."""
        began_s = self._clock()
        try:
            yield
        finally:
            now_s, deadline_s = self._clock(), self._promise.deadline_s
            self._started_s += now_s - began_s
            self._aim_s = min(self._aim_s + now_s - began_s, deadline_s)
            left_ms, rest_ms = (deadline_s - now_s) * 1e3, self._promise.remaining_ms[self._step]
            self.steers = self.steers or left_ms <= AMPLE * rest_ms

    def is_late(self, step: int, now_s: float, stretch: float = 1.0) -> bool:
        """Return whether the steps after `step` no longer fit before the deadline."""
        left_ms = (self._promise.deadline_s - now_s) * 1e3
        needed_ms = self._promise.remaining_ms[step] * stretch + self._promise.reserve_ms
        return self._promise.loose and needed_ms > max(left_ms, 0.0)

    def _spare_ms(self, step: int, now_s: float, stretch: float) -> float:
        """Return how much more than planned fits after `step` before the promised end."""
        if not self.steers:
            return 0.0
        spare_ms = (self._aim_s - now_s) * 1e3 / stretch - self._promise.remaining_ms[step]
        return spare_ms if self._promise.loose else max(spare_ms, 0.0)

    def _stretch_after(self, step: int, now_s: float) -> float:
        """Return actual ÷ predicted time to expect of the rest: what was slow stays slow."""
        promise = self._promise
        trusted_ms = TRUST * promise.predicted_ms
        done_ms = promise.predicted_ms - promise.remaining_ms[step] + self._added_ms
        took_ms = (now_s - self._started_s) * 1e3
        return (took_ms + trusted_ms) / (done_ms + trusted_ms)
