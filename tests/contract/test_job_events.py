"""What happens to a job is written down in order, for those who follow it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.contract.jobs import Failure, Reason
from tests.builders import a_result, some_images
from tests.contract.queueing import claim_one, expire_leases, submitted

if TYPE_CHECKING:
    import redis

    from app.contract.gateway_queue import RedisGatewayQueue
    from app.contract.keys import Keys
    from app.contract.settings import QueueSettings
    from app.contract.worker_queue import RedisWorkerQueue


async def told(gateway: RedisGatewayQueue, job_id: str) -> list[tuple[str, int]]:
    return [(event.name, event.step) for event in await gateway.events(job_id)]


async def test_a_job_tells_its_whole_life(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    claimed = claim_one(worker)
    for step in (1, 2):
        worker.report([claimed], step)
    worker.finish(claimed, a_result(claimed), some_images(job))

    expected = [("queued", 0), ("running", 0), ("step", 1), ("step", 2), ("done", 4)]
    assert await told(gateway, job.id) == expected


async def test_a_step_is_told_once_and_a_renewed_lease_is_not(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    claimed = claim_one(worker)
    for _ in range(3):
        worker.report([claimed], 1)
        worker.renew([claimed])

    assert await told(gateway, job.id) == [("queued", 0), ("running", 0), ("step", 1)]


@pytest.mark.parametrize(
    ("reason", "name"),
    [(Reason.ERROR, "failed"), (Reason.CANCELLED, "cancelled"), (Reason.DEAD, "dead")],
)
async def test_a_failure_is_told_last(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, reason: Reason, name: str
) -> None:
    job = await submitted(gateway)
    worker.fail(claim_one(worker), Failure(job.id, reason, "boom"), retry=False)

    assert (await gateway.events(job.id))[-1].name == name


async def test_another_attempt_is_told(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    claim_one(worker)
    expire_leases(store, keys)
    claim_one(worker)

    names = [(event.name, event.attempt) for event in await gateway.events(job.id)]
    assert names == [("queued", 0), ("running", 1), ("queued", 1), ("running", 2)]


async def test_only_what_came_after_an_event_is_told_again(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    claim_one(worker)
    first, second = await gateway.events(job.id)

    assert await gateway.events(job.id, first.id) == [second]
    assert await gateway.events(job.id, second.id) == []
    assert second.at_unix_ms >= first.at_unix_ms > 0


async def test_the_events_of_a_job_are_bounded(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    claimed = claim_one(worker)
    for step in range(1, 1100):
        worker.report([claimed], step)

    events = await gateway.events(job.id)
    assert (len(events), events[-1].step) == (1024, 1099)


async def test_events_are_kept_as_long_as_the_result(
    gateway: RedisGatewayQueue,
    worker: RedisWorkerQueue,
    store: redis.Redis,
    keys: Keys,
    settings: QueueSettings,
) -> None:
    job = await submitted(gateway)
    assert 0 < int(store.ttl(keys.events(job.id))) <= 3600

    claimed = claim_one(worker)
    worker.finish(claimed, a_result(claimed), some_images(job))

    assert 0 < int(store.ttl(keys.events(job.id))) <= settings.result_ttl_s


async def test_those_who_follow_a_job_are_woken_by_what_happens_to_it(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    with gateway.told(job.id) as woken:
        async with asyncio.timeout(5):
            await woken.wait()  # the subscription stands
            woken.clear()
            claim_one(worker)
            await woken.wait()
