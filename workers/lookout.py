"""Sees who comes while a batch runs, so that its steps need not ask."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.contract.errors import StoreUnavailable
from workers.background import kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workers.background import Kept

log = logging.getLogger(__name__)
LOOK_S = 0.02
# Of the time, how much may go into looks: the store may be far away.
SHARE = 0.05


class Lookout:
    """Looks again and again, in a thread of its own, for the most urgent of those who wait.

    `look` returns how many milliseconds that one has left. It is asked only while `is_open`.
    """

    def __init__(self, look: Callable[[], float | None]) -> None:
        self._look = look
        self._due_s = float("inf")
        self._over = threading.Event()
        self._opens_s = float("inf")

    @property
    def is_open(self) -> bool:
        """Whether it looks."""
        return time.monotonic() >= self._opens_s

    @property
    def is_closed(self) -> bool:
        """Whether it will not look until it is opened."""
        return self._opens_s == float("inf")

    def open(self, in_s: float = 0.0) -> None:
        """Look from then on; what was seen before is forgotten."""
        self._opens_s = time.monotonic() + in_s
        self._due_s = float("inf")

    def close(self) -> None:
        """Look no more."""
        self.open(float("inf"))

    def sees_before(self, deadline_s: float) -> bool:
        """Return whether somebody waits with an earlier deadline, on the monotonic clock."""
        return self._due_s < deadline_s

    def keep(self) -> None:
        """Look until `release`."""
        pause_s = LOOK_S
        while not self._over.wait(pause_s):
            began_s = time.monotonic()
            if self.is_open:
                self._see()
            pause_s = max(LOOK_S, (time.monotonic() - began_s) / SHARE)

    def _see(self) -> None:
        try:
            left_ms = self._look()
        except StoreUnavailable as error:
            log.debug("cannot see who waits: %s", error)
            left_ms = None
        except Exception:  # the thread must go on, and the run does without
            log.exception("cannot see who waits")
            left_ms = None
        found_s = float("inf") if left_ms is None else time.monotonic() + left_ms / 1e3
        self._due_s = found_s if self.is_open else float("inf")

    def release(self) -> None:
        """End the thread."""
        self._over.set()


@contextmanager
def looking(look: Callable[[], float | None], keep: Kept = kept) -> Iterator[Lookout]:
    """Give a lookout, closed at first, inside this context."""
    lookout = Lookout(look)
    with keep(lookout, "lookout"):
        yield lookout
