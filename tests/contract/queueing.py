"""Short words for what the queue tests do all the time."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from app.contract.worker_queue import RedisWorkerQueue
from tests.builders import a_job, a_lane

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    import redis

    from app.contract.gateway_queue import RedisGatewayQueue
    from app.contract.jobs import Job
    from app.contract.keys import Keys
    from app.contract.lanes import Lane
    from app.contract.line import Line
    from app.contract.ports import Choose, Claimed
    from app.contract.settings import QueueSettings

ALONE = 1
FREE_BATCHES = 4
MINUTE_MS = 60_000.0


async def submitted(gateway: RedisGatewayQueue, budget_ms: float = MINUTE_MS, **job: Any) -> Job:
    """Submit a job and return it."""
    accepted = a_job(**job)
    await gateway.submit(accepted, budget_ms)
    return accepted


def together(most: int) -> Choose:
    """Return what chooses the first in line and others of its class, up to `most` images."""

    def choose(line: Line) -> list[str]:
        first, *others = line.queued
        ids, images = [first.id], first.waiting.images
        for job in others:
            if job.batch_class == first.batch_class:
                images += job.waiting.images
                if images > most:
                    break
                ids.append(job.id)
        return ids

    return choose


def claim(
    queue: RedisWorkerQueue,
    most: int = ALONE,
    *,
    lane: Lane | None = None,
    name: str = "worker-1",
    wait_s: float = 0.0,
) -> list[Claimed]:
    """Claim a batch of up to `most` images, by default of one job and without waiting."""
    return queue.claim(lane or a_lane(), name, together(most), wait_s)


def claim_by(queue: RedisWorkerQueue, choose: Choose) -> list[Claimed]:
    """Claim what `choose` names, without waiting."""
    return queue.claim(a_lane(), "worker-1", choose, 0.0)


def line_of(queue: RedisWorkerQueue) -> Line:
    """Return the line that a claim is shown; take nothing."""
    seen: list[Line] = []

    def look(line: Line) -> list[str]:
        seen.append(line)
        return []

    assert claim_by(queue, look) == []
    (line,) = seen
    return line


def claim_one(queue: RedisWorkerQueue, **how: Any) -> Claimed:
    """Claim exactly one job."""
    (claimed,) = claim(queue, **how)
    return claimed


def ids(claims: Sequence[Claimed]) -> list[str]:
    """Return which jobs were claimed."""
    return [claimed.job.id for claimed in claims]


def expire_leases(store: redis.Redis, keys: Keys) -> None:
    """Let every running lease be over, as if its worker had been silent for long."""
    running: Any = store.zrange(keys.leases, 0, -1)
    for job_id in running:
        store.zadd(keys.leases, {job_id: 1})


@contextmanager
def another_worker(url: str, settings: QueueSettings, **changes: Any) -> Iterator[RedisWorkerQueue]:
    """Connect one more worker, perhaps with other settings."""
    queue = RedisWorkerQueue.connect(url, replace(settings, **changes))
    try:
        yield queue
    finally:
        queue.close()


async def eventually(
    condition: Callable[[], Awaitable[Any]] | Callable[[], Any], timeout_s: float = 10.0
) -> Any:
    """Return the first true value of `condition`; fails when there is none in time."""
    async with asyncio.timeout(timeout_s):
        while True:
            value = condition()
            value = await value if asyncio.iscoroutine(value) else value
            if value:
                return value
            await asyncio.sleep(0.01)
