"""Keep a lease alive while a batch runs, and learn who no longer waits for it."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.contract.errors import StoreUnavailable
from workers.background import kept
from workers.job_traces import traces_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.contract.ports import Claimed, WorkerQueue
    from workers.background import Kept

log = logging.getLogger(__name__)
REPORT_S = 0.05


class Lease:
    """A batch under lease. The denoising thread sets `step` and reads `wanted`; neither waits.

    A thread of its own reports to the store, so that a slow store never slows a step down. It stops
    renewing when no step finished for `stall_s`: a wedged device must not keep its jobs for ever.
    While the batch is `aside` nothing is expected of it, as long as that may take.
    """

    def __init__(self, queue: WorkerQueue, claims: Sequence[Claimed], stall_s: float) -> None:
        self._queue = queue
        self._claims = claims
        self._stall_s = stall_s
        self._moved_at = time.monotonic()
        self._step = 0
        self._over = threading.Event()
        self.wanted = frozenset(claim.job.id for claim in claims)

    @property
    def step(self) -> int:
        """Number of finished steps."""
        return self._step

    @step.setter
    def step(self, step: int) -> None:
        self._step = step
        self._moved_at = time.monotonic()

    @contextmanager
    def aside(self, most_s: float) -> Iterator[None]:
        """Expect no step inside this context, for `most_s` at most."""
        self._moved_at = time.monotonic() + most_s
        try:
            yield
        finally:
            self._moved_at = time.monotonic()

    def keep(self) -> None:
        """Report and renew until `release`, or until the batch stalls."""
        while not self._over.wait(REPORT_S):
            if time.monotonic() - self._moved_at > self._stall_s:
                words = "no step finished for %.0f s: giving the lease up%s"
                log.error(words, self._stall_s, traces_of(self._claims))
                return
            try:
                self.wanted = self._queue.report(self._claims, self._step)
            except StoreUnavailable as error:
                log.warning("cannot renew the lease: %s%s", error, traces_of(self._claims))
            except Exception:  # the thread must go on: without a lease the job runs twice
                log.exception("cannot renew the lease%s", traces_of(self._claims))

    def release(self) -> None:
        """Stop renewing."""
        self._over.set()


@contextmanager
def leased(
    queue: WorkerQueue, claims: Sequence[Claimed], stall_s: float, keep: Kept = kept
) -> Iterator[Lease]:
    """Keep the lease on `claims` inside this context."""
    lease = Lease(queue, claims, stall_s)
    with keep(lease, "lease"):
        yield lease
