"""Waiting for what comes of a job: its outcome, or the previews before it."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from app.contract import replies
from app.contract.connection import store_errors
from app.contract.ended import Ended
from app.contract.errors import WaitTimeout
from app.contract.together import Together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import redis.asyncio

    from app.contract.announcements import Announcements
    from app.contract.jobs import Outcome
    from app.contract.keys import Keys

# Announcements wake a waiter at once; this only bounds what a silent network can hide.
LOOK_AGAIN_S = 5.0
# Nobody may ever wait for a job; of so many the oldest is looked for at first again.
MOST_EXPECTED = 1024

T = TypeVar("T")


class Watch:
    """Looks at jobs in the store whenever something about them is announced."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        keys: Keys,
        announcements: Announcements,
        run: Callable[..., Awaitable[Any]],
    ) -> None:
        self._client = client
        self._keys = keys
        self._announcements = announcements
        self._run = run
        self._together: Together[tuple[str, int], list[Any]] = Together(self._ended_of)
        self._expected: dict[str, asyncio.Event] = {}

    def expect(self, job_id: str) -> None:
        """Listen for a job before it is queued: who waits for it then need not look first."""
        if not self._announcements.is_listening or job_id in self._expected:
            return
        if len(self._expected) >= MOST_EXPECTED:
            self.forget(next(iter(self._expected)))
        self._expected[job_id] = self._announcements.listen(job_id)

    def forget(self, job_id: str) -> None:
        """Expect a job no more: it was not queued after all."""
        announced = self._expected.pop(job_id, None)
        if announced is not None:
            self._announcements.leave(job_id, announced)

    async def ended(self, job_id: str, timeout_s: float, *, pictures: bool) -> Ended:
        """Return the end once it has come, with the pictures if wanted; raises WaitTimeout."""
        return await self._look(job_id, partial(self._ended, job_id, pictures), timeout_s)

    async def news(self, job_id: str, seen: int, timeout_s: float) -> Sequence[bytes] | Outcome:
        """Return the previews beyond the first `seen` once there are any, else the outcome."""
        return await self._look(job_id, partial(self._unseen, job_id, seen), timeout_s)

    async def _look(
        self, job_id: str, look: Callable[[], Awaitable[T | None]], timeout_s: float
    ) -> T:
        """Return what `look` finds; it looks again whenever the job was announced."""
        clock = asyncio.get_running_loop()
        until = clock.time() + timeout_s
        announced = self._announced(job_id)
        try:
            while True:
                await _pause(announced, min(max(until - clock.time(), 0.0), LOOK_AGAIN_S))
                if (found := await look()) is not None:
                    return found
                if clock.time() >= until:
                    raise WaitTimeout(f"job {job_id} had no outcome within {timeout_s:g} s")
        finally:
            self._announcements.leave(job_id, announced)

    def _announced(self, job_id: str) -> asyncio.Event:
        announced = self._expected.pop(job_id, None)
        if announced is None:
            announced = self._announcements.listen(job_id)
            announced.set()
        return announced

    async def _unseen(self, job_id: str, seen: int) -> Sequence[bytes] | Outcome | None:
        with store_errors():
            previews: Any = await self._client.lrange(self._keys.previews(job_id), seen, -1)
        return previews or await self._outcome(job_id)

    async def _outcome(self, job_id: str) -> Outcome | None:
        ended = await self._ended(job_id, pictures=False)
        return ended.outcome if ended else None

    async def _ended(self, job_id: str, pictures: bool) -> Ended | None:
        found = await self._together.ask((job_id, int(pictures)))
        return Ended(replies.outcome(*found[:2]), tuple(found[2:])) if found else None

    async def _ended_of(self, asked: Sequence[tuple[str, int]]) -> list[list[Any]]:
        found: list[list[Any]] = await self._run("outcomes", *chain.from_iterable(asked))
        return found


async def _pause(announced: asyncio.Event, seconds: float) -> None:
    if not announced.is_set():
        # The end of the time wakes as an announcement does: a timeout takes longer than all else.
        alarm = asyncio.get_running_loop().call_later(seconds, announced.set)
        try:
            await announced.wait()
        finally:
            alarm.cancel()
    announced.clear()
