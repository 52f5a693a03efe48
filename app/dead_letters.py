"""Dead letters, for operators: which jobs were given up and why, and another chance for them.

Works on the store itself, so that it helps while no gateway runs, and needs the rights to do so.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.contract.errors import DecodeError
from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.jobs import Failure, JobState
from app.contract.settings import QueueSettings
from app.errors import NoDeadLetter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from app.contract.ports import JobStatus


@asynccontextmanager
async def dead_letters(
    store_url: str, settings: QueueSettings | None = None
) -> AsyncIterator[DeadLetters]:
    """Give the dead letters of the service on that store; raises StoreUnavailable."""
    queue = RedisGatewayQueue.connect(store_url, settings or QueueSettings())
    try:
        yield DeadLetters(queue)
    finally:
        await queue.aclose()


class DeadLetters:
    """The jobs that were given up, until they are requeued or forgotten after a week."""

    def __init__(self, queue: RedisGatewayQueue) -> None:
        self._queue = queue

    async def latest(self, limit: int) -> list[JobStatus]:
        """Return the latest `limit`, the newest first."""
        return await self._queue.list_dead(limit)

    async def describe(self, job_id: str) -> dict[str, Any]:
        """Return all that is known of one, the prompt included; raises NoDeadLetter."""
        status = await self._queue.status(job_id)
        if status is None or status.state is not JobState.DEAD:
            raise NoDeadLetter(_not_dead(job_id, status))
        history = [
            f"{moment(event.at_unix_ms)} {event.name}, attempt {event.attempt}, step {event.step}"
            for event in await self._queue.events(job_id)
        ]
        return {
            "id": status.id,
            "reason": reason(status),
            "attempts": status.attempt,
            "owner": await self._queue.owner(job_id) or None,
            "created": moment(status.created_unix_ms),
            "deadline": moment(status.deadline_unix_ms),
            "history": history,
            "order": await self._order(job_id),
        }

    async def requeue(self, job_id: str) -> None:
        """Queue one again with its whole budget and all attempts; raises NoDeadLetter."""
        if not await self._queue.requeue_dead(job_id):
            raise NoDeadLetter(_not_dead(job_id, await self._queue.status(job_id)))

    async def requeue_all(self) -> Sequence[str]:
        """Queue all that are there now again; return their ids, the newest first."""
        dead = await self._queue.list_dead(await self._queue.dead_letters())
        return [status.id for status in dead if await self._queue.requeue_dead(status.id)]

    async def _order(self, job_id: str) -> dict[str, Any] | str:
        try:
            ordered = await self._queue.ordered(job_id)
        except DecodeError as error:
            return f"it cannot be read: {error}"
        return {} if ordered is None else ordered.members()


def reason(status: JobStatus) -> str:
    """Return why a job was given up, in one sentence."""
    return status.outcome.detail if isinstance(status.outcome, Failure) else "it is not known why"


def moment(unix_ms: int) -> str:
    """Write a moment of the store's clock, to the second."""
    return datetime.fromtimestamp(unix_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _not_dead(job_id: str, status: JobStatus | None) -> str:
    found = "there is no such job" if status is None else f"it is {status.state}"
    return f"job {job_id} is no dead letter: {found}; blockcache jobs list shows those there are"
