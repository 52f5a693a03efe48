"""One batch at a time that comes before the rest of another, between two of its steps."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from app.contract.errors import StoreUnavailable
from workers.dispatch import Sooner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.contract.ports import Claimed
    from schedules.ladder import Ladder
    from schedules.memory import MemoryAccount
    from schedules.pausing import Underway
    from schedules.replanning import Aim
    from workers.lease import Lease
    from workers.lookout import Lookout
    from workers.pace import Pace

    Take = Callable[[Sooner], Sequence[Claimed]]
    Make = Callable[[Sequence[Claimed], Aim, float], bool]

log = logging.getLogger(__name__)
# Who waits and could not come first is asked about again only after so long.
REST_S = 0.1


@dataclass(frozen=True, slots=True)
class Pauses:
    """Says between two steps of a batch what comes first.

    `ladder` is of what fits into memory beside the batch. `told` hears after each step how much is
    left of it. `take` leases whom it stands back for; `make` serves them in no more than the time
    there is, and returns whether it did.
    """

    lookout: Lookout
    lease: Lease
    ladder: Ladder
    told: Callable[[float], None]
    take: Take
    make: Make

    def __call__(self, pace: Pace) -> Callable[[], None] | None:
        """Return what comes before the next step, None when that is next."""
        run = pace.underway
        self.told(run.predicted_ms)
        if not run.yields(self.ladder):
            self.lookout.close()
        elif self.lookout.is_closed:
            self.lookout.open()
        elif self.lookout.sees_before(time.monotonic() + run.left_ms / 1e3):
            return self._first(pace, run)
        return None

    def _first(self, pace: Pace, run: Underway) -> Callable[[], None] | None:
        choose = Sooner(self.ladder, run)
        claims: Sequence[Claimed] = ()
        with _store_or_not("see who waits"):
            claims = self.take(choose)
        if claims:
            return partial(self._instead, pace, run, claims, choose.aim)
        self.lookout.open(REST_S)
        return None

    def _instead(self, pace: Pace, run: Underway, claims: Sequence[Claimed], aim: Aim) -> None:
        """Make others, who are held to what the run can spare too; then it goes on."""
        self.lookout.close()
        held = [c.copy(left_ms=min(c.left_ms, run.slack_ms)) for c in claims]
        made = False
        with pace.paused(), self.lease.aside(run.left_ms / 1e3), _store_or_not("finish others"):
            made = self.make(held, aim, run.slack_ms)
        if not made:  # they would be taken again and again
            self.lookout.release()


def room_beside(images: int, max_batch: int, memory: MemoryAccount | None) -> int:
    """Return how many pictures can be made while a batch of `images` is paused, 0 for none."""
    if max_batch <= images:
        return 0
    return max_batch - images if memory is None else memory.beside(images, max_batch)


@contextmanager
def _store_or_not(what: str) -> Iterator[None]:
    """Go on where the store is away: the batch between whose steps this happens can."""
    try:
        yield
    except StoreUnavailable as error:
        log.warning("cannot %s: %s", what, error)
