"""One subscription that wakes everyone in this process who waits for an outcome."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

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
        self._heard = False
        self.is_listening = False

    @contextmanager
    def of(self, job_id: str) -> Iterator[asyncio.Event]:
        """Give an event that is set whenever the job may have come to an outcome."""
        event = self.listen(job_id)
        try:
            yield event
        finally:
            self.leave(job_id, event)

    def listen(self, job_id: str) -> asyncio.Event:
        """Give the same event until `leave`."""
        self._start()
        event = asyncio.Event()
        self._waiters[job_id].add(event)
        return event

    def leave(self, job_id: str, event: asyncio.Event) -> None:
        """Listen no more."""
        self._waiters[job_id].discard(event)
        if not self._waiters[job_id]:
            del self._waiters[job_id]

    async def aclose(self) -> None:
        """Stop listening and close the connection."""
        while self._task is not None and not self._task.done():
            self._task.cancel()  # one that comes while connecting can end as an OSError
            await asyncio.wait({self._task}, timeout=CANCEL_S)
        await self._client.aclose()

    def _start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._listen_forever())

    async def _listen_forever(self) -> None:
        while True:
            with suppress(*TROUBLES):
                await self._listen()
            self.is_listening = False
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        pool: Any = self._client.connection_pool
        connection = pool.make_connection()
        try:
            async with asyncio.timeout(ANSWER_S):
                await connection.connect()
                await connection.send_command("SUBSCRIBE", self._channel)
            await self._hear(connection)
        finally:
            await connection.disconnect(nowait=True)

    async def _hear(self, connection: Any) -> None:
        # A subscription of the client's own does this too, and takes three times as long.
        checking = asyncio.create_task(self._check(connection))
        try:
            while True:
                said = await connection.read_response(
                    timeout=math.inf, disconnect_on_error=False, push_request=True
                )
                self._heard = True
                if isinstance(said, list):
                    self._wake(*said)
        finally:
            checking.cancel()

    async def _check(self, connection: Any) -> None:
        """Close a connection on which the store fell silent: whoever hears on it gets an error."""
        while True:
            self._heard = False
            await asyncio.sleep(IDLE_S)
            if not self._heard:
                with suppress(*TROUBLES):
                    await connection.send_command("PING")
                await asyncio.sleep(ANSWER_S)
            if not self._heard:
                await connection.disconnect(nowait=True)

    def _wake(self, kind: bytes, _channel: bytes, told: bytes | int = b"") -> None:
        if kind == b"subscribe":
            self.is_listening = True
            woken = [event for events in self._waiters.values() for event in events]
        elif kind == b"message" and isinstance(told, bytes):
            woken = list(self._waiters.get(told.decode(), ()))
        else:
            woken = []
        for event in woken:
            event.set()
