"""The gateway's side of the queue on Redis or Valkey. Belongs to one event loop."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from redis.exceptions import NoPermissionError

from app.contract.announcements import Announcements
from app.contract.cards import WorkerCard
from app.contract.connection import connect_async, script_text, store_errors, unix_ms
from app.contract.errors import DecodeError, QueueFull, WaitTimeout
from app.contract.jobs import Failure, JobState, Result
from app.contract.keys import Keys
from app.contract.ports import Backlog, JobStatus, StoreMemory
from schedules.book import PlanBook
from schedules.errors import InvalidBook

if TYPE_CHECKING:
    import redis.asyncio

    from app.contract.jobs import Job, Outcome
    from app.contract.settings import QueueSettings

SCRIPTS = ("submit", "cancel", "status", "backlog", "depths", "dead", "requeue", "cards")
FULL = -1
# Announcements wake a waiter at once; this only bounds what a silent network can hide.
LOOK_AGAIN_S = 5.0

log = logging.getLogger(__name__)


class RedisGatewayQueue:
    """Keeps the promises of `GatewayQueue`. Build it with `connect`, close it when done."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        announcements: Announcements,
        settings: QueueSettings,
    ) -> None:
        self._client = client
        self._announcements = announcements
        self._settings = settings
        self._keys = Keys(settings.prefix)
        self._scripts = {name: client.register_script(script_text(name)) for name in SCRIPTS}

    @classmethod
    def connect(cls, url: str, settings: QueueSettings) -> Self:
        """Return a queue on the store at `url`; connections are made at first use."""
        announcements = Announcements(connect_async(url, retries=0), Keys(settings.prefix).over)
        return cls(connect_async(url), announcements, settings)

    async def aclose(self) -> None:
        """Stop listening and close the connections."""
        await self._announcements.aclose()
        await self._client.aclose()

    async def submit(self, job: Job, budget_ms: float) -> int:
        """Accept a job whose deadline is `budget_ms` from now; return the deadline (unix ms)."""
        described = (job.id, job.encode(), job.model, job.batch_class, job.images)
        planned = (job.plan.predicted_ms, job.plan.steps, budget_ms)
        settings = self._settings
        limits = (
            settings.max_jobs, settings.unclaimed_ttl_s * 1000, settings.dead_ttl_s * 1000,
        )  # fmt: skip
        deadline = await self._run("submit", *described, *planned, *limits)
        if deadline == FULL:
            raise QueueFull(f"the queue already holds {settings.max_jobs} jobs: try again later")
        return int(deadline)

    async def wait(self, job_id: str, timeout_s: float) -> Outcome:
        """Return the outcome once there is one; raises WaitTimeout."""
        clock = asyncio.get_running_loop()
        until = clock.time() + timeout_s
        with self._announcements.of(job_id) as announced:
            while (outcome := await self._outcome(job_id)) is None:
                left_s = until - clock.time()
                if left_s <= 0:
                    raise WaitTimeout(f"job {job_id} had no outcome within {timeout_s:g} s")
                await _pause(announced, min(left_s, LOOK_AGAIN_S))
        return outcome

    async def status(self, job_id: str) -> JobStatus | None:
        """Return what is known of a job, None when it is unknown or long over."""
        found = await self._run("status", job_id)
        return _status(job_id, found) if found else None

    async def image(self, job_id: str, index: int) -> bytes | None:
        """Return one finished picture (PNG)."""
        if index < 0:
            return None
        with store_errors():
            picture: Any = await self._client.lindex(self._keys.images(job_id), index)
        return None if picture is None else bytes(picture)

    async def cancel(self, job_id: str) -> JobState | None:
        """Cancel a queued job now or a running one at its next step; return the state after."""
        state = await self._run("cancel", job_id, self._settings.result_ttl_s * 1000)
        return JobState(state.decode()) if state else None

    async def backlog(self, model: str, budget_ms: float) -> Backlog:
        """Return the queued work of `model` whose deadline is earlier than `budget_ms` from now."""
        jobs, work_ms = await self._run("backlog", model, budget_ms)
        return Backlog(jobs, float(work_ms))

    async def depths(self) -> dict[str, Backlog]:
        """Return all queued work by model."""
        flat = await self._run("depths")
        rows = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        return {model.decode(): Backlog(jobs, float(work_ms)) for model, jobs, work_ms in rows}

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

    async def requeue_dead(self, job_id: str) -> bool:
        """Queue a dead letter again with its whole budget; False when it is no dead letter."""
        return bool(await self._run("requeue", job_id))

    async def cards(self) -> list[WorkerCard]:
        """Return the cards of all live workers; cards of other versions are left out."""
        decoded = [_card(payload) for payload in await self._run("cards")]
        return [card for card in decoded if card is not None]

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

    async def _outcome(self, job_id: str) -> Outcome | None:
        with store_errors():
            found: Any = await self._client.hmget(self._keys.job(job_id), ["state", "outcome"])
        state, payload = found
        return _decoded(state, payload) if payload else None

    async def _run(self, script: str, *args: Any) -> Any:
        with store_errors():
            return await self._scripts[script](keys=self._keys.for_scripts(), args=args)


async def _pause(announced: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await announced.wait()
    announced.clear()


def _decoded(state: bytes, payload: bytes) -> Outcome:
    kind = Result if state.decode() == JobState.DONE else Failure
    return kind.decode(payload)


def _status(job_id: str, found: list[Any]) -> JobStatus:
    state, model, *numbers, payload, position = found
    attempt, step, steps, created, deadline = (int(number) for number in numbers)
    return JobStatus(
        id=job_id,
        model=model.decode(),
        state=JobState(state.decode()),
        attempt=attempt,
        step=step,
        steps=steps,
        position=position if position >= 0 else None,
        created_unix_ms=created,
        deadline_unix_ms=deadline,
        outcome=_decoded(state, payload) if payload else None,
    )


def _card(payload: bytes) -> WorkerCard | None:
    try:
        return WorkerCard.decode(payload)
    except DecodeError as error:
        log.warning("a worker's card was left out: %s", error)
        return None
