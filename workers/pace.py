"""Whether a running batch still meets its deadline, asked after every step."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from workers.cached_unet import CacheRun
    from workers.lease import Lease

# How much of the predicted time the prediction counts for beside what the run itself took so far.
TRUST = 0.5


class Pace:
    """The per-step callback of a batch: progress, cancellation, and hurry when time runs out.

    `remaining_ms[s]` is what the run should still take after step s, to the encoded picture. When
    that, stretched by how slow the run was so far and by `reserve`, no longer fits before the
    deadline, the next step reuses all it can: a slightly poorer picture in time instead of a better
    one too late.
    `must_stop` says whether the worker itself has to be done by now. `slowness` is actual ÷
    predicted time up to the first hurry, None without one.
    """

    def __init__(
        self,
        lease: Lease,
        predicted_ms: float,
        remaining_ms: Sequence[float],
        deadline_s: float,
        must_stop: Callable[[], bool],
        reserve: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease = lease
        self._predicted_ms = predicted_ms
        self._remaining_ms = remaining_ms
        self._deadline_s = deadline_s
        self._must_stop = must_stop
        self._reserve = reserve
        self._clock = clock
        self._started_s = clock()
        self.hurried_steps = 0
        self._stretch = 1.0
        self.slowness: float | None = None

    def __call__(self, step: int, run: CacheRun, _latents: Tensor) -> bool:
        """Return whether anybody still waits for the batch."""
        self._lease.step = step + 1
        now_s = self._clock()
        if self.slowness is None:
            self._stretch = self._stretch_after(step, now_s)
        if self.is_late(step, now_s):
            self._notice(step, now_s)
            run.hurry()
        self.hurried_steps = run.hurried_steps
        return bool(self._lease.wanted) and not self._must_stop()

    def is_late(self, step: int, now_s: float) -> bool:
        """Return whether the steps after `step` no longer fit before the deadline."""
        left_ms = (self._deadline_s - now_s) * 1e3
        return self._remaining_ms[step] * self._stretch * self._reserve > max(left_ms, 0.0)

    def _stretch_after(self, step: int, now_s: float) -> float:
        """Return actual ÷ predicted time to expect of the rest: what was slow stays slow."""
        trusted_ms = TRUST * self._predicted_ms
        took_ms = (now_s - self._started_s) * 1e3
        return (took_ms + trusted_ms) / (self._done_ms(step) + trusted_ms)

    def _done_ms(self, step: int) -> float:
        return self._predicted_ms - self._remaining_ms[step]

    def _notice(self, step: int, now_s: float) -> None:
        """Remember how slow the run was before it was hurried; later times say nothing."""
        if self.slowness is None:
            done_ms = self._done_ms(step)
            self.slowness = (now_s - self._started_s) * 1e3 / done_ms if done_ms > 0 else None
