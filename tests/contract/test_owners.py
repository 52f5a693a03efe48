"""Whose job it is: how many an owner may have, how often it may ask, and repeated requests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from app.contract.errors import AlreadyAccepted, KeyReused, QueueFull, TooManyJobs
from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.jobs import Failure, Reason
from app.contract.once import Once
from tests.builders import a_job, a_result, some_images
from tests.contract.queueing import MINUTE_MS, claim_one, eventually, expire_leases, submitted

if TYPE_CHECKING:
    import redis

    from app.contract.keys import Keys
    from app.contract.settings import QueueSettings
    from app.contract.worker_queue import RedisWorkerQueue

ONCE = Once("name", "fingerprint")


async def submit_one(gateway: RedisGatewayQueue, owner: str = "alice", most: int = 1) -> str:
    job = a_job(owner=owner)
    await gateway.submit(job, MINUTE_MS, most_live=most)
    return job.id


async def test_an_owner_may_have_so_many_jobs_at_once(gateway: RedisGatewayQueue) -> None:
    await submit_one(gateway)

    with pytest.raises(TooManyJobs):
        await submit_one(gateway)
    await submit_one(gateway, "bob")


async def test_a_running_job_counts_and_a_finished_one_does_not(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    await submit_one(gateway)
    claimed = claim_one(worker)
    with pytest.raises(TooManyJobs):
        await submit_one(gateway)

    worker.finish(claimed, a_result(claimed), some_images(claimed.job))

    await submit_one(gateway)


@pytest.mark.parametrize("reason", [Reason.ERROR, Reason.DEAD, Reason.CANCELLED])
async def test_a_failed_job_does_not_count(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, reason: Reason
) -> None:
    job_id = await submit_one(gateway)
    worker.fail(claim_one(worker), Failure(job_id, reason, "boom"), retry=False)

    await submit_one(gateway)


async def test_a_cancelled_job_does_not_count(gateway: RedisGatewayQueue) -> None:
    await gateway.cancel(await submit_one(gateway))

    await submit_one(gateway)


async def test_a_job_that_goes_back_to_the_queue_still_counts(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    await submit_one(gateway)
    claim_one(worker)
    expire_leases(store, keys)
    claim_one(worker)

    with pytest.raises(TooManyJobs):
        await submit_one(gateway)


async def test_a_requeued_dead_letter_counts_again(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job_id = await submit_one(gateway)
    worker.fail(claim_one(worker), Failure(job_id, Reason.DEAD, "boom"), retry=False)
    await gateway.requeue_dead(job_id)

    with pytest.raises(TooManyJobs):
        await submit_one(gateway)


async def test_a_job_removed_from_outside_does_not_count(
    gateway: RedisGatewayQueue, store: redis.Redis, keys: Keys
) -> None:
    store.delete(keys.job(await submit_one(gateway)))

    await submit_one(gateway)


async def test_of_requests_that_race_no_more_than_allowed_get_in(
    gateway: RedisGatewayQueue,
) -> None:
    tries = [submit_one(gateway, most=3) for _ in range(10)]

    found = await asyncio.gather(*tries, return_exceptions=True)

    assert sum(isinstance(one, TooManyJobs) for one in found) == 7


async def test_a_job_knows_its_owner(gateway: RedisGatewayQueue) -> None:
    nobodys = await submitted(gateway)

    assert await gateway.owner(await submit_one(gateway)) == "alice"
    assert await gateway.owner(nobodys.id) == ""
    assert await gateway.owner("unknown") is None


async def test_the_same_request_again_is_the_first_job(gateway: RedisGatewayQueue) -> None:
    first = a_job()
    await gateway.submit(first, MINUTE_MS, once=ONCE)

    with pytest.raises(AlreadyAccepted) as raised:
        await gateway.submit(a_job(), MINUTE_MS, once=ONCE)
    assert raised.value.job_id == first.id
    assert await gateway.accepted_before(ONCE) == first.id


async def test_another_request_with_the_same_key_is_refused(gateway: RedisGatewayQueue) -> None:
    other = Once(ONCE.name, "another")
    await gateway.submit(a_job(), MINUTE_MS, once=ONCE)

    with pytest.raises(KeyReused):
        await gateway.submit(a_job(), MINUTE_MS, once=other)
    with pytest.raises(KeyReused):
        await gateway.accepted_before(other)


async def test_of_the_same_requests_that_race_one_becomes_a_job(
    gateway: RedisGatewayQueue,
) -> None:
    jobs = [a_job() for _ in range(8)]

    found = await asyncio.gather(
        *(gateway.submit(job, MINUTE_MS, once=ONCE) for job in jobs), return_exceptions=True
    )

    (winner,) = (job for job, one in zip(jobs, found, strict=True) if isinstance(one, int))
    others = [one for one in found if isinstance(one, AlreadyAccepted)]
    assert [one.job_id for one in others] == [winner.id] * 7


async def test_a_refused_request_is_not_remembered(
    store_url: str, settings: QueueSettings, gateway: RedisGatewayQueue
) -> None:
    await submit_one(gateway)
    with pytest.raises(TooManyJobs):
        await gateway.submit(a_job(owner="alice"), MINUTE_MS, most_live=1, once=ONCE)

    assert await gateway.accepted_before(ONCE) is None
    await gateway.submit(a_job(), MINUTE_MS, once=Once(ONCE.name, "another"))


async def test_a_key_is_worth_nothing_without_its_job(
    gateway: RedisGatewayQueue, store: redis.Redis, keys: Keys
) -> None:
    first = a_job()
    await gateway.submit(first, MINUTE_MS, once=ONCE)
    store.delete(keys.job(first.id))

    assert await gateway.accepted_before(ONCE) is None
    assert await gateway.submit(a_job(), MINUTE_MS, once=ONCE) > 0


async def test_what_is_kept_of_requests_has_a_ttl(
    gateway: RedisGatewayQueue, store: redis.Redis, keys: Keys, settings: QueueSettings
) -> None:
    await gateway.submit(a_job(), MINUTE_MS, once=ONCE)
    await gateway.enter("alice", 5, 60_000)

    longest_s: Any = store.ttl(keys.once(ONCE.name))
    assert longest_s > settings.result_ttl_s
    assert 0 < int(store.ttl(keys.rate("alice"))) <= 60


async def test_an_owner_may_ask_so_often_in_a_window(gateway: RedisGatewayQueue) -> None:
    quotas = [await gateway.enter("alice", 2, 60_000) for _ in range(3)]

    assert [quota.allowed for quota in quotas] == [True, True, False]
    assert [quota.remaining for quota in quotas] == [1, 0, 0]
    assert all(59_000 < quota.reset_ms <= 60_000 for quota in quotas)
    assert (await gateway.enter("bob", 2, 60_000)).allowed


async def test_there_is_room_again_when_the_window_has_moved_on(
    gateway: RedisGatewayQueue,
) -> None:
    assert (await gateway.enter("alice", 1, 300)).allowed
    refused = await gateway.enter("alice", 1, 300)

    async def is_let_in() -> bool:
        return (await gateway.enter("alice", 1, 300)).allowed

    assert not refused.allowed
    assert 0 < refused.reset_ms <= 300
    await eventually(is_let_in)


async def test_only_the_latest_window_counts(
    gateway: RedisGatewayQueue, store: redis.Redis, keys: Keys
) -> None:
    for _ in range(2):
        await gateway.enter("alice", 2, 60_000)
    first, _ = cast("list[bytes]", store.zrange(keys.rate("alice"), 0, -1))
    store.zadd(keys.rate("alice"), {first.decode(): 1})  # as if it had been long ago

    quotas = [await gateway.enter("alice", 2, 60_000) for _ in range(2)]

    assert [quota.allowed for quota in quotas] == [True, False]


async def test_all_gateways_count_together(
    gateway: RedisGatewayQueue, store_url: str, settings: QueueSettings
) -> None:
    other = RedisGatewayQueue.connect(store_url, settings)
    both = [one.enter("alice", 5, 60_000) for one in (gateway, other) for _ in range(5)]

    quotas = await asyncio.gather(*both)
    await other.aclose()

    assert sum(quota.allowed for quota in quotas) == 5


async def test_a_lowered_limit_waits_for_all_that_are_too_many(gateway: RedisGatewayQueue) -> None:
    for _ in range(3):
        await gateway.enter("alice", 5, 60_000)

    quota = await gateway.enter("alice", 1, 60_000)

    assert (quota.allowed, quota.remaining) == (False, 0)


async def test_a_full_queue_is_not_blamed_on_the_owner(
    store_url: str, prefix: str, settings: QueueSettings
) -> None:
    small = RedisGatewayQueue.connect(store_url, type(settings)(prefix=prefix, max_jobs=1))
    await submit_one(small, "bob")

    with pytest.raises(QueueFull):
        await submit_one(small, "alice")
    await small.aclose()
