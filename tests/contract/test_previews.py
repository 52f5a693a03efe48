"""Previews of a running job, and jobs found again by a tag."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.contract.errors import WaitTimeout
from tests.builders import a_result, some_images
from tests.contract.queueing import claim_one, eventually, expire_leases, submitted

if TYPE_CHECKING:
    import redis

    from app.contract.gateway_queue import RedisGatewayQueue
    from app.contract.keys import Keys
    from app.contract.worker_queue import RedisWorkerQueue


async def test_a_follower_gets_previews_as_they_come_and_then_the_outcome(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    claimed = claim_one(worker)
    following = asyncio.create_task(gateway.follow(job.id, 0, 20.0))
    await eventually(lambda: store.pubsub_numsub(keys.over)[0][1])
    assert worker.preview(claimed, 0, b"first")
    async with asyncio.timeout(2):  # sooner than it would look again by itself
        assert await following == [b"first"]
    worker.preview(claimed, 1, b"second")
    assert await gateway.follow(job.id, 1, 1.0) == [b"second"]
    worker.finish(claimed, a_result(job), some_images(job))
    assert await gateway.follow(job.id, 2, 1.0) == a_result(job)


async def test_following_ends_when_the_time_is_over(gateway: RedisGatewayQueue) -> None:
    job = await submitted(gateway)
    with pytest.raises(WaitTimeout):
        await gateway.follow(job.id, 0, 0.05)


async def test_a_worker_that_lost_its_lease_shows_nothing(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    stale = claim_one(worker)
    expire_leases(store, keys)
    claimed = claim_one(worker)
    assert not worker.preview(stale, 0, b"stale")
    assert worker.preview(claimed, 0, b"mine")
    assert await gateway.follow(job.id, 0, 1.0) == [b"mine"]


async def test_another_attempt_begins_its_previews_anew(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    first = claim_one(worker)
    worker.preview(first, 0, b"old")
    worker.give_back(first)
    worker.preview(claim_one(worker), 0, b"new")
    assert await gateway.follow(job.id, 0, 1.0) == [b"new"]


async def test_previews_and_tags_have_a_ttl(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, prefix: str
) -> None:
    job = await submitted(gateway)
    worker.preview(claim_one(worker), 0, b"seen")
    await gateway.tag(job.id, "caller")
    for kind in ("previews", "tag"):
        (key,) = store.keys(f"*{prefix}*:{kind}:*")
        assert store.ttl(key) > 0


async def test_tagged_jobs_are_found_newest_first_and_only_the_latest(
    gateway: RedisGatewayQueue,
) -> None:
    for number in range(20):
        await gateway.tag(f"job-{number:02}", "caller")
    await gateway.tag("job-x", "another")
    found = await gateway.tagged("caller")
    assert found == [f"job-{number:02}" for number in range(19, 3, -1)]
    assert await gateway.tagged("nobody") == []
