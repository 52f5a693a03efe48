"""Waiting for an outcome: woken at once, on one connection, through lost connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.contract.errors import DecodeError, WaitTimeout
from app.contract.jobs import Failure, JobState, Reason, Result
from tests.builders import a_result, some_images
from tests.contract.queueing import FREE_BATCHES, claim, claim_one, eventually, submitted

if TYPE_CHECKING:
    import redis

    from app.contract.gateway_queue import RedisGatewayQueue
    from app.contract.jobs import Job, Outcome
    from app.contract.keys import Keys
    from app.contract.worker_queue import RedisWorkerQueue


def _subscribers(store: redis.Redis, keys: Keys) -> int:
    ((_, count),) = store.pubsub_numsub(keys.over)
    return int(count)


def _waiting(gateway: RedisGatewayQueue, job: Job) -> asyncio.Task[Outcome]:
    return asyncio.create_task(gateway.wait(job.id, 20.0))


async def _subscribed(store: redis.Redis, keys: Keys) -> None:
    await eventually(lambda: _subscribers(store, keys))


async def test_a_waiter_gets_the_result_and_the_pictures(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway, images=2)
    claimed = claim_one(worker, most=FREE_BATCHES)
    worker.finish(claimed, a_result(job), some_images(job))
    assert await gateway.wait(job.id, 1) == a_result(job)
    assert [await gateway.image(job.id, i) for i in range(2)] == some_images(job)
    assert await gateway.image(job.id, 2) is None
    assert await gateway.image(job.id, -1) is None


async def test_the_status_of_a_finished_job_holds_its_result(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    worker.finish(claim_one(worker), a_result(job), some_images(job))
    status = await gateway.status(job.id)
    assert status is not None
    assert (status.state, status.step, status.position) == (JobState.DONE, status.steps, None)
    assert status.outcome == a_result(job)


async def test_a_finish_wakes_its_waiter_long_before_the_next_look(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    waiting = _waiting(gateway, job)
    await _subscribed(store, keys)
    worker.finish(claim_one(worker), a_result(job), some_images(job))
    async with asyncio.timeout(2.0):
        assert await waiting == a_result(job)


async def test_what_ends_between_order_and_wait_is_found_at_once(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    first = await submitted(gateway)
    listening = _waiting(gateway, first)
    await _subscribed(store, keys)
    worker.finish(claim_one(worker), a_result(first), some_images(first))
    await listening
    for cut in (False, True):
        job = await submitted(gateway)
        if cut:
            store.client_kill_filter(_type="pubsub")
        worker.finish(claim_one(worker), a_result(job), some_images(job))
        async with asyncio.timeout(3.0):
            assert await gateway.wait(job.id, 20.0) == a_result(job)


async def test_a_batch_is_stored_at_once_but_for_what_was_lost(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    jobs = [await submitted(gateway, images=n) for n in (1, 1)]
    claims = claim(worker, most=FREE_BATCHES)
    assert worker.give_back(claims[1])
    made = [(claim, a_result(claim), some_images(claim.job)) for claim in claims]
    assert worker.finish_all(made) == [True, False]
    assert await gateway.images(claims[0].job.id) == some_images(claims[0].job)
    assert await gateway.images(claims[1].job.id) == []
    assert {claim.job.id for claim in claims} == {job.id for job in jobs}


async def test_ends_that_come_together_are_told_apart(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    jobs = [await submitted(gateway) for _ in range(3)]
    waiting = [asyncio.create_task(gateway.ended(job.id, 20.0)) for job in jobs[:2]]
    waiting.append(asyncio.create_task(gateway.ended(jobs[2].id, 20.0, pictures=False)))
    claims = claim(worker, most=FREE_BATCHES)
    assert all(worker.finish_all([(c, a_result(c), some_images(c.job)) for c in claims]))
    ends = {end.outcome.job_id: end for end in await asyncio.gather(*waiting)}
    assert [ends[job.id].images for job in jobs[:2]] == [tuple(some_images(j)) for j in jobs[:2]]
    assert ends[jobs[2].id].images == ()


@pytest.mark.parametrize("reason", [Reason.ERROR, Reason.DEADLINE])
async def test_a_failure_reaches_its_waiter(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, reason: Reason
) -> None:
    job = await submitted(gateway)
    waiting = _waiting(gateway, job)
    failure = Failure(job.id, reason, "the picture “burst”")
    assert worker.fail(claim_one(worker), failure, retry=False)
    assert await waiting == failure
    status = await gateway.status(job.id)
    assert status is not None
    assert status.state is JobState.FAILED


async def test_waiting_ends_with_its_time(gateway: RedisGatewayQueue) -> None:
    job = await submitted(gateway)
    with pytest.raises(WaitTimeout, match=job.id):
        await gateway.wait(job.id, 0.05)


async def test_many_waiters_share_one_connection(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    jobs = [await submitted(gateway) for _ in range(20)]
    waiting = [_waiting(gateway, job) for job in jobs for _ in range(3)]
    await _subscribed(store, keys)
    assert _subscribers(store, keys) == 1
    for _ in jobs:
        claimed = claim_one(worker)
        worker.finish(claimed, a_result(claimed), some_images(claimed))
    outcomes = await asyncio.gather(*waiting)
    assert sorted(outcome.job_id for outcome in outcomes) == sorted(3 * [job.id for job in jobs])
    assert _subscribers(store, keys) == 1


async def test_a_waiter_survives_a_cut_connection(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    waiting = _waiting(gateway, job)
    await _subscribed(store, keys)
    store.client_kill_filter(_type="pubsub")
    store.client_kill_filter(_type="normal", skipme=True)
    worker.finish(claim_one(worker), a_result(job), some_images(job))
    async with asyncio.timeout(3.0):
        assert await waiting == a_result(job)


async def test_the_subscription_comes_back_after_a_cut(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    waiting = _waiting(gateway, job)
    await _subscribed(store, keys)
    store.client_kill_filter(_type="pubsub")
    await eventually(lambda: not _subscribers(store, keys))
    await _subscribed(store, keys)
    worker.finish(claim_one(worker), a_result(job), some_images(job))
    async with asyncio.timeout(3.0):
        assert await waiting == a_result(job)


async def test_nobody_is_left_among_the_waiters(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    with pytest.raises(WaitTimeout):
        await gateway.wait(job.id, 0.01)
    assert not gateway._announcements._waiters


async def test_a_result_of_an_unreadable_version_is_not_taken_for_an_answer(
    gateway: RedisGatewayQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    store.hset(keys.job(job.id), mapping={"state": "done", "outcome": '{"version":99}'})
    with pytest.raises(DecodeError, match="version"):
        await gateway.wait(job.id, 1)


async def test_two_claims_never_give_two_answers(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    first = claim_one(worker)
    assert worker.finish(first, a_result(job), [b"one"])
    assert not worker.fail(first, Failure(job.id, Reason.ERROR, "late"), retry=False)
    assert claim(worker) == []
    assert isinstance(await gateway.wait(job.id, 1), Result)


async def test_pictures_that_something_left_are_not_taken_for_the_jobs_own(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway, images=2)
    store.rpush(keys.images(job.id), "of another")
    assert worker.finish(claim_one(worker), a_result(job), [b"one", b"two"])
    assert await gateway.images(job.id) == [b"one", b"two"]
