"""One subscription that wakes everyone in this process who waits for an outcome."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import redis

from app.contract.settings import RECONNECT_S
from app.contract.shared import TROUBLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis.asyncio

IDLE_S = 15.0
ANSWER_S = 5.0
CANCEL_S = 0.1


class Announcements:
    """Wakes waiters when their job is over, and all of them after every (re)connect.

    Laws: there is one connection for all waiters. Messages sent while it was down are lost, which
    is why a waiter must look at the store before it sleeps and whenever it is woken. `client`
    must not retry by itself. Belongs to one event loop. While it `is_listening`, whoever waits
    already is woken by what is announced from now on.
    """

    def __init__(self, client: redis.asyncio.Redis, channel: str) -> None:
        self._client = client
        self._channel = channel
        self._waiters: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self.is_listening = False

    @contextmanager
    def of(self, job_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the job may have come to an outcome."""
        self._start()
        event = asyncio.Event()
        self._waiters[job_id].add(event)
        try:
            yield event
        finally:
            self._remove(job_id, event)

    async def aclose(self) -> None:
        """Stop listening and close the connection."""
        while self._task is not None and not self._task.done():
            self._task.cancel()  # one that comes while connecting can end as an OSError
            await asyncio.wait({self._task}, timeout=CANCEL_S)
        await self._client.aclose()

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._listen_forever())

    def _remove(self, job_id: str, event: asyncio.Event) -> None:
        self._waiters[job_id].discard(event)
        if not self._waiters[job_id]:
            del self._waiters[job_id]

    async def _listen_forever(self) -> None:
        while True:
            with suppress(*TROUBLES):
                await self._listen()
            self.is_listening = False
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        async with self._client.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            while True:
                self._wake(await self._next(subscription))

    async def _next(self, subscription: Any) -> dict[str, Any]:
        """Return the next message; raises ConnectionError when the store fell silent."""
        message = await subscription.get_message(timeout=IDLE_S)
        if message is None:
            await subscription.ping()
            message = await subscription.get_message(timeout=ANSWER_S)
        if message is None:
            raise redis.ConnectionError("the store does not answer")
        return dict(message)

    def _wake(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self.is_listening = True
            woken = [event for events in self._waiters.values() for event in events]
        elif message["type"] == "message":
            woken = list(self._waiters.get(message["data"].decode(), ()))
        else:
            woken = []
        for event in woken:
            event.set()
