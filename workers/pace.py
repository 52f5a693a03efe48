"""Whether a running batch still meets its deadline, asked after every step."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from workers.cached_unet import CacheRun
    from workers.lease import Lease

# A run that is this much behind is hurried; less is noise that later steps make up for.
TOLERANCE = 1.01


class Pace:
    """The per-step callback of a batch: progress, cancellation, and hurry when time runs out.

    `remaining_ms[s]` is what the run still takes after step s, to the encoded picture. When that
    no longer fits before the deadline, the next step reuses all it can: a slightly poorer picture
    in time instead of a better one too late. `must_stop` says whether the worker itself has to be
    done by now. `slowness` is actual ÷ predicted time up to the first hurry, None without one.
    """

    def __init__(
        self,
        lease: Lease,
        predicted_ms: float,
        remaining_ms: Sequence[float],
        deadline_s: float,
        must_stop: Callable[[], bool],
    ) -> None:
        self._lease = lease
        self._predicted_ms = predicted_ms
        self._remaining_ms = remaining_ms
        self._deadline_s = deadline_s
        self._must_stop = must_stop
        self._started_s = time.monotonic()
        self.hurried_steps = 0
        self.slowness: float | None = None

    def __call__(self, step: int, run: CacheRun, _latents: Tensor) -> bool:
        """Return whether anybody still waits for the batch."""
        self._lease.step = step + 1
        now_s = time.monotonic()
        if self.is_late(step, now_s):
            self._notice(step, now_s)
            run.hurry()
        self.hurried_steps = run.hurried_steps
        return bool(self._lease.wanted) and not self._must_stop()

    def is_late(self, step: int, now_s: float) -> bool:
        """Return whether the steps after `step` no longer fit before the deadline."""
        left_ms = (self._deadline_s - now_s) * 1e3
        return self._remaining_ms[step] > max(left_ms, 0.0) * TOLERANCE

    def _notice(self, step: int, now_s: float) -> None:
        """Remember how slow the run was before it was hurried; later times say nothing."""
        if self.slowness is None:
            done_ms = self._predicted_ms - self._remaining_ms[step]
            self.slowness = (now_s - self._started_s) * 1e3 / done_ms if done_ms > 0 else None
