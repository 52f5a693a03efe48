"""Carries the events of jobs from the store to everybody who follows them here.

A job's events are read once, however many follow it, into one list that all of them share. A
follower is only a place in that list, so a slow one costs no memory and holds up nobody.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

from starlette.responses import StreamingResponse

from app.contract.errors import DecodeError, StoreUnavailable
from app.contract.jobs import FINAL_STATES, JobState
from app.contract.settings import RECONNECT_S
from app.errors import TooManyStreams
from app.events import PREVIEW, Event, describe, snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from starlette.types import Receive, Scope, Send

    from app.contract.ports import GatewayQueue, JobEvent, JobStatus

LOG = logging.getLogger("blockcache.feeds")
LOOK_AGAIN_S = 1.0  # how often the place of a waiting job is looked up
BEGINNING = "0-0"
HELLO = b"retry: 1000\n\n"
HEARTBEAT = b": nothing new\n\n"


class Feed:
    """The events of one job. It is over when the job is."""

    def __init__(self, queue: GatewayQueue, job_id: str) -> None:
        self.followers = 0
        self._queue = queue
        self._job_id = job_id
        self._events: list[Event] = []
        self._waiting: Event | None = None  # its place in the queue now, if that has changed
        self._over = False
        self._changed = asyncio.Event()
        self._newest = ""
        self._read_to = BEGINNING
        self._started_unix_ms = 0
        self._previews = 0
        self._task = asyncio.create_task(self._read_all())

    async def follow(self, after: str, heartbeat_s: float) -> AsyncGenerator[Event | None, None]:
        """Yield the events after that id as they come; None when nothing came for a while."""
        sent, waiting = 0, None
        while True:
            changed = self._changed
            fresh = self._events[sent:]
            for event in fresh:
                if event.is_after(after):
                    yield event
            sent += len(fresh)
            if self._waiting is not waiting:
                waiting = self._waiting
                yield waiting
            if self._over and sent == len(self._events):
                return
            if not await _set_within(changed, heartbeat_s):
                yield None

    def end(self) -> None:
        """Stop reading and let every follower go."""
        self._task.cancel()

    async def _read_all(self) -> None:
        try:
            with self._queue.told(self._job_id) as told:
                while not self._over:
                    await self._read_or_wait()
                    if not self._over:
                        await _set_within(told, LOOK_AGAIN_S)
                        told.clear()
        except DecodeError as error:
            LOG.warning("a job cannot be followed: %s", error)
        finally:
            self._over = True
            self._wake()

    async def _read_or_wait(self) -> None:
        try:
            await self._read()
        except StoreUnavailable as error:
            LOG.warning("events are late: %s", error)
            await asyncio.sleep(RECONNECT_S)

    async def _read(self) -> None:
        news = await self._queue.events(self._job_id, self._read_to)
        self._newest = news[-1].name if news else self._newest
        status = await self._status()
        for event in news:
            self._add(event, status if event is news[-1] else None)
        if not self._events and status is not None:
            self._events.append(snapshot(status))  # the stream has expired before its job
        self._look_at_place(status)
        self._over = self._newest in FINAL_STATES or (status is None and not self._events)
        self._wake()

    async def _status(self) -> JobStatus | None:
        """Return what the stream does not say: a place in the queue, a result, whether it is."""
        if self._newest in {"", JobState.QUEUED} or self._newest in FINAL_STATES:
            status = await self._queue.status(self._job_id)
            if status is not None and not self._newest:
                self._newest = status.state
            return status
        return None

    def _add(self, event: JobEvent, status: JobStatus | None) -> None:
        if event.name == JobState.RUNNING:
            self._started_unix_ms = event.at_unix_ms
            self._previews = 0  # another attempt shows its own
        elapsed_ms = event.at_unix_ms - self._started_unix_ms if self._started_unix_ms else 0
        url = f"/jobs/{self._job_id}/previews/{self._previews}"
        self._previews += event.name == PREVIEW
        self._events.append(describe(event, status, elapsed_ms, url))
        self._read_to = event.id

    def _look_at_place(self, status: JobStatus | None) -> None:
        if status is None or status.state is not JobState.QUEUED:
            self._waiting = None
            return
        told = self._waiting or self._events[-1]
        if told.data.get("position") != status.position:
            self._waiting = snapshot(status)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Feeds:
    """All feeds of a gateway. At most `most` may follow; each gets a line every `heartbeat_s`."""

    def __init__(self, queue: GatewayQueue, most: int, heartbeat_s: float) -> None:
        self._queue = queue
        self._most = most
        self._heartbeat_s = heartbeat_s
        self._feeds: dict[str, Feed] = {}

    def check_room(self) -> None:
        """Raise TooManyStreams when nobody more may follow."""
        if sum(feed.followers for feed in self._feeds.values()) >= self._most:
            raise TooManyStreams("Too many streams are open here; ask GET /jobs/{id} instead.")

    async def has_news(self, job_id: str, after: str) -> bool:
        """Whether anything is kept that happened to the job after that event."""
        return bool(await self._queue.events(job_id, after))

    async def lines(self, job_id: str, after: str) -> AsyncGenerator[bytes, None]:
        """Yield a job's events as they travel, until it is over or the gateway stops."""
        yield HELLO
        with self._of(job_id) as feed:
            async with aclosing(feed.follow(after, self._heartbeat_s)) as events:
                async for event in events:
                    yield HEARTBEAT if event is None else event.encode()

    def close(self) -> None:
        """End every stream; those who follow come back to another gateway."""
        for feed in self._feeds.values():
            feed.end()

    @contextmanager
    def _of(self, job_id: str) -> Iterator[Feed]:
        feed = self._feeds.get(job_id) or Feed(self._queue, job_id)
        self._feeds[job_id] = feed
        feed.followers += 1
        try:
            yield feed
        finally:
            feed.followers -= 1
            if not feed.followers:
                feed.end()
                self._feeds.pop(job_id)


class EventStream(StreamingResponse):
    """Lines of events, sent as fast as their reader takes them; given up when it leaves."""

    media_type = "text/event-stream"

    def __init__(self, lines: AsyncGenerator[bytes, None]) -> None:
        # A proxy that collects an answer before it sends it would make every event late.
        super().__init__(lines, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream (ASGI)."""
        async with aclosing(self._lines):
            await super().__call__(scope, receive, send)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
