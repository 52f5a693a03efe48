"""The gateway's side of the queue on Redis or Valkey. Belongs to one event loop."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import TYPE_CHECKING, Any, Self

from redis.exceptions import NoPermissionError, NoScriptError

from app.contract import replies
from app.contract.announcements import Announcements
from app.contract.backlogs import Backlogs
from app.contract.cards import WorkerCard
from app.contract.connection import (
    connect_async,
    connect_shared,
    store_errors,
    unix_ms,
)
from app.contract.errors import DecodeError, KeyReused, QueueFull, TooManyJobs
from app.contract.jobs import Job, JobState
from app.contract.keys import Keys
from app.contract.ports import JobEvent, JobStatus, Quota, StoreMemory
from app.contract.scripting import Scripts
from app.contract.submission import Newcomer
from app.contract.together import Together
from app.contract.watch import Watch
from app.contract.webhook_queue import WebhookQueue
from schedules.book import PlanBook
from schedules.errors import InvalidBook

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    import redis.asyncio

    from app.contract.ended import Ended
    from app.contract.jobs import Outcome
    from app.contract.lanes import Lane
    from app.contract.once import Once
    from app.contract.ports import Backlog
    from app.contract.settings import QueueSettings

SCRIPTS = (
    "submit", "cancel", "status", "backlog", "depths", "dead", "requeue", "cards", "rate",
    "turn_away", "tag", "outcomes",
)  # fmt: skip
FULL, OWNER_FULL = -1, -2
TAGGED_JOBS = 16


class RedisGatewayQueue:
    """Keeps the promises of `GatewayQueue`. Build it with `connect`, close it when done."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        announcements: Announcements,
        news: Announcements,
        settings: QueueSettings,
    ) -> None:
        self._client = client
        self._execute: Any = client.execute_command
        self._announcements = announcements
        self._watch = Watch(client, Keys(settings.prefix), announcements, self._run)
        self._news = news
        self._settings = settings
        self._keys = Keys(settings.prefix)
        self._cards: dict[bytes, WorkerCard | None] = {}
        self._backlogs = Backlogs(self._run)
        self._submitting: Together[Newcomer, int | bytes] = Together(self._submit_all)
        self.webhooks = WebhookQueue(client, settings)
        self._scripts = Scripts(SCRIPTS, self._keys)

    @classmethod
    def connect(cls, url: str, settings: QueueSettings) -> Self:
        """Return a queue on the store at `url`; connections are made at first use."""
        keys = Keys(settings.prefix)
        over, told = (
            Announcements(connect_async(url, retries=0), channel)
            for channel in (keys.over, keys.told)
        )
        return cls(connect_shared(url), over, told, settings)

    async def aclose(self) -> None:
        """Stop listening and close the connections."""
        await self._announcements.aclose()
        await self._news.aclose()
        await self._client.aclose()

    async def submit(
        self,
        job: Job,
        budget_ms: float,
        *,
        most_live: int = 0,
        once: Once | None = None,
        met_others: bool = False,
        webhook: str = "",
    ) -> int:
        """Accept a job whose deadline is `budget_ms` from now; return the deadline (unix ms)."""
        news = Newcomer(job, budget_ms, most_live, once, met_others, webhook)
        self._watch.expect(job.id)
        try:
            return self._accepted(await self._submitting.ask(news), most_live)
        except BaseException:
            self._watch.forget(job.id)
            raise

    def _accepted(self, reply: int | bytes, most_live: int) -> int:
        if reply == FULL:
            raise QueueFull(
                f"the queue already holds {self._settings.max_jobs} jobs: try again later"
            )
        if reply == OWNER_FULL:
            raise TooManyJobs(f"{most_live} jobs of this key wait or run: wait for one to end")
        return replies.accepted(reply)

    async def _submit_all(self, news: Sequence[Newcomer]) -> Sequence[int | bytes]:
        arguments = (part for one in news for part in one.arguments(self._settings))
        accepted: Sequence[int | bytes] = await self._run("submit", *arguments)
        return accepted

    async def turn_away(self, lane: Lane, images: int, budget_ms: float) -> None:
        """Remember a request that others stood in the way of among the latest arrivals."""
        await self._run("turn_away", lane.name, images, budget_ms)

    async def accepted_before(self, once: Once) -> str | None:
        """Return the id of the job accepted with `once`, if it is known; raises KeyReused."""
        with store_errors():
            found: Any = await self._client.hmget(
                self._keys.once(once.name), ["job", "fingerprint"]
            )
        job_id, fingerprint = (b"" if part is None else bytes(part) for part in found)
        if not job_id or await self.owner(job_id.decode()) is None:
            return None
        if fingerprint.decode() != once.fingerprint:
            raise KeyReused(replies.REUSED_WORDS)
        return job_id.decode()

    async def owner(self, job_id: str) -> str | None:
        """Return whose job it is, an empty string for nobody's, None when it is unknown."""
        with store_errors():
            found: Any = await self._client.hmget(self._keys.job(job_id), ["state", "owner"])
        state, owner = found
        return None if state is None else (owner or b"").decode()

    async def enter(self, owner: str, most: int, window_ms: int) -> Quota:
        """Count a request of `owner`, of which `most` are allowed in any `window_ms`."""
        allowed, remaining, reset_ms = await self._run(
            "rate", owner, secrets.token_hex(16), most, window_ms
        )
        return Quota(bool(allowed), remaining, reset_ms)

    async def events(self, job_id: str, after: str = "0") -> list[JobEvent]:
        """Return what happened to a job after the event of that id, oldest first."""
        with store_errors():
            found: Any = await self._client.xrange(self._keys.events(job_id), f"({after}")
        return [replies.event(event_id, fields) for event_id, fields in found]

    def told(self, job_id: str) -> AbstractContextManager[asyncio.Event]:
        """Give an asyncio event that is set whenever something may have happened to the job."""
        return self._news.of(job_id)

    async def wait(self, job_id: str, timeout_s: float) -> Outcome:
        """Return the outcome once there is one; raises WaitTimeout."""
        return (await self._watch.ended(job_id, timeout_s, pictures=False)).outcome

    async def ended(self, job_id: str, timeout_s: float, *, pictures: bool = True) -> Ended:
        """Do the same, and return the pictures with it if they are wanted."""
        return await self._watch.ended(job_id, timeout_s, pictures=pictures)

    async def follow(self, job_id: str, seen: int, timeout_s: float) -> Sequence[bytes] | Outcome:
        """Return the previews beyond the first `seen` once there are any, else the outcome."""
        return await self._watch.news(job_id, seen, timeout_s)

    async def status(self, job_id: str) -> JobStatus | None:
        """Return what is known of a job, None when it is unknown or long over."""
        found = await self._run("status", job_id)
        return replies.status(job_id, found) if found else None

    async def image(self, job_id: str, index: int) -> bytes | None:
        """Return one finished picture, encoded as its job asked."""
        return None if index < 0 else await self._picture(self._keys.images(job_id), index)

    async def images(self, job_id: str) -> list[bytes]:
        """Return all finished pictures, in the order of their seeds."""
        with store_errors():
            found: Any = await self._client.lrange(self._keys.images(job_id), 0, -1)
        return list(found)

    async def preview(self, job_id: str, index: int) -> bytes | None:
        """Return the first picture as it was shown the `index`-th time, for -1 the last time."""
        return await self._picture(self._keys.previews(job_id), index)

    async def cancel(self, job_id: str) -> JobState | None:
        """Cancel a queued job now or a running one at its next step; return the state after."""
        state = await self._run("cancel", job_id, self._settings.result_ttl_s * 1000)
        return JobState(state.decode()) if state else None

    async def tag(self, job_id: str, tag: str) -> None:
        """Remember a job under a tag, beside the latest few of the same tag."""
        # One script: a gateway that dies in between must leave no key without a TTL.
        ttl_ms = self._settings.result_ttl_s * 1000
        await self._run("tag", self._tag(tag), job_id, TAGGED_JOBS, ttl_ms)

    async def tagged(self, tag: str) -> list[str]:
        """Return the ids of the latest few jobs under a tag, the newest first."""
        with store_errors():
            found: Any = await self._client.zrevrange(self._tag(tag), 0, -1)
        return [job_id.decode() for job_id in found]

    async def backlog(self, lane: Lane, budget_ms: float) -> Backlog:
        """Return who waits in a lane, and the work with deadlines before `budget_ms` from now."""
        return await self._backlogs.of(lane, budget_ms)

    async def depths(self) -> dict[Lane, Backlog]:
        """Return all queued work by lane."""
        return replies.depths(await self._run("depths"))

    async def dead_letters(self) -> int:
        """Return how many jobs were given up."""
        count, *_ = await self._run("dead", self._settings.dead_ttl_s * 1000, 0)
        return int(count)

    async def memory(self) -> StoreMemory | None:
        """Return how full the store is, None when its user may not ask."""
        with store_errors():
            try:
                found: Any = await self._client.info("memory")
            except NoPermissionError:
                return None
        return StoreMemory(int(found["used_memory"]), int(found.get("maxmemory", 0)))

    async def list_dead(self, limit: int = 100) -> list[JobStatus]:
        """Return the latest dead letters; the outcome of each says why it was given up."""
        _, *ids = await self._run("dead", self._settings.dead_ttl_s * 1000, limit)
        found = [await self.status(job_id.decode()) for job_id in ids]
        return [status for status in found if status is not None]

    async def ordered(self, job_id: str) -> Job | None:
        """Return a job as it was ordered, None when it is unknown or over; raises DecodeError."""
        with store_errors():
            payload: Any = await self._client.hget(self._keys.job(job_id), "payload")
        return None if payload is None else Job.decode(payload)

    async def requeue_dead(self, job_id: str) -> bool:
        """Queue a dead letter again with its whole budget; False when it is no dead letter."""
        return bool(await self._run("requeue", job_id))

    async def cards(self) -> list[WorkerCard]:
        """Return the cards of all live workers; cards of other versions are left out."""
        found, before = await self._run("cards"), self._cards
        # What has not changed is the very same card: what was reckoned with it stays true.
        self._cards = {text: before.get(text) or replies.card(text) for text in found}
        return [card for card in self._cards.values() if card is not None]

    async def book(self, digest: str) -> PlanBook | None:
        """Return a published plan book; raises DecodeError when it cannot be read."""
        with store_errors():
            payload: Any = await self._client.get(self._keys.book(digest))
        try:
            return None if payload is None else PlanBook.from_dict(json.loads(payload))
        except (InvalidBook, ValueError) as error:
            raise DecodeError(f"not a plan book: {error}", payload) from error

    async def now_unix_ms(self) -> int:
        """Return the store's clock, the only clock deadlines are measured by."""
        with store_errors():
            moment: Any = await self._client.time()
        return unix_ms(moment)

    async def _picture(self, key: str, index: int) -> bytes | None:
        with store_errors():
            picture: Any = await self._client.lindex(key, index)
        return None if picture is None else bytes(picture)

    def _tag(self, tag: str) -> str:
        # What callers say, or who they are, becomes no part of a key.
        return self._keys.tag(hashlib.sha256(tag.encode()).hexdigest())

    async def _run(self, script: str, *args: Any) -> Any:
        command = self._scripts.command(script, args)
        with store_errors():
            try:
                return await self._execute(*command)
            except NoScriptError:
                await self._client.script_load(self._scripts.text(script))
                return await self._execute(*command)
