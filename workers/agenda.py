"""What a worker has begun, and whether others may come before the rest of that."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from schedules.pausing import Underway

if TYPE_CHECKING:
    from collections.abc import Callable

NEVER_MS = float("inf")
# A gateway's picture of the workers is older than this: a run so short would be over before anybody
# could know of it.
BRIEF_MS = 20.0


@dataclass(frozen=True, slots=True)
class Begun:
    """A batch: how long it takes from `at_s` on, and its deadline, both on the monotonic clock.

    `least_ms` is the least time that whoever comes before its rest takes.
    """

    rest_ms: float
    at_s: float
    due_s: float
    least_ms: float
    is_brief: bool = False

    def yields(self, now_s: float, held_up_ms: float, rest_ms: float) -> bool:
        """Return whether it can stand back once more, with so much to come before and to do."""
        left_ms = (self.due_s - now_s) * 1e3 - held_up_ms
        return Underway.predicted(left_ms, rest_ms).slack_ms >= self.least_ms


class Agenda:
    """The batch that runs and the one that is paused for it; other threads may read it.

    `news` is called when others should know at once of what has begun or goes on. Nobody needs to
    know of a brief batch.
    """

    def __init__(
        self, news: Callable[[], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._news = news
        self._clock = clock
        self._begun: tuple[Begun, ...] = ()

    @property
    def depth(self) -> int:
        """How many batches have begun."""
        return len(self._begun)

    def begin(self, rest_ms: float, left_ms: float = 0.0, least_ms: float = NEVER_MS) -> None:
        """Note a batch that comes before what has begun, with so much time to its deadline.

        Nobody comes before a batch with the default.
        """
        now_s = self._clock()
        batch = Begun(rest_ms, now_s, now_s + left_ms / 1e3, least_ms, rest_ms <= BRIEF_MS)
        self._begun = (*self._begun, batch)
        if not batch.is_brief:
            self._news()

    def go_on(self, rest_ms: float) -> None:
        """Note what is left of the batch that runs."""
        *below, last = self._begun
        before, now_s = self._yields, self._clock()
        self._begun = (*below, replace(last, rest_ms=rest_ms, at_s=now_s))
        if self._yields != before:
            self._news()

    def hold(self) -> None:
        """Note that nobody comes before the rest of the batch that runs any more."""
        *below, last = self._begun
        before = self._yields
        self._begun = (*below, replace(last, least_ms=NEVER_MS))
        if self._yields != before:
            self._news()

    def end(self, depth: int) -> bool:
        """Note that only the first so many batches are not over.

        Returns whether others should know at once that one is.
        """
        ended = self._begun[depth:]
        self._begun = self._begun[:depth]
        return not all(batch.is_brief for batch in ended)

    def told(self, now_unix_ms: int) -> dict[str, int]:
        """Return what a card says of it."""
        if not self._begun:
            return {}
        running_ms, paused_ms = self._left_ms()
        told = {"busy_until_unix_ms": now_unix_ms + round(running_ms + paused_ms)}
        if self._yields:
            due_ms = (self._begun[0].due_s - self._clock()) * 1e3
            told["yields_from_unix_ms"] = now_unix_ms + round(running_ms if paused_ms else 0.0)
            told["due_unix_ms"] = now_unix_ms + round(due_ms)
        return told

    def _left_ms(self) -> tuple[float, float]:
        """Return what is left of the batch that runs, and of the paused one."""
        *below, last = self._begun
        running_ms = last.rest_ms - (self._clock() - last.at_s) * 1e3
        return max(running_ms, 0.0), sum(batch.rest_ms for batch in below)

    @property
    def _yields(self) -> bool:
        running_ms, paused_ms = self._left_ms()
        held_up_ms, rest_ms = (running_ms, paused_ms) if paused_ms else (0.0, running_ms)
        return self._begun[0].yields(self._clock(), held_up_ms, rest_ms)
