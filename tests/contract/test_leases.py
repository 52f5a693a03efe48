"""Leases: renewed, lost, returned; and what a worker that lost one can no longer do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.contract.jobs import Failure, JobState, Reason, Result
from tests.builders import a_lane, a_result, some_images
from tests.contract.queueing import (
    FREE_BATCHES,
    another_worker,
    claim,
    claim_one,
    expire_leases,
    ids,
    submitted,
)

if TYPE_CHECKING:
    import redis

    from app.contract.gateway_queue import RedisGatewayQueue
    from app.contract.keys import Keys
    from app.contract.settings import QueueSettings
    from app.contract.worker_queue import RedisWorkerQueue


async def test_a_waiting_worker_takes_over_from_one_that_fell_silent(
    gateway: RedisGatewayQueue,
    worker: RedisWorkerQueue,
    store_url: str,
    settings: QueueSettings,
) -> None:
    job = await submitted(gateway)
    with another_worker(store_url, settings, lease_ms=100) as silent:
        claim_one(silent)
    (taken,) = await asyncio.to_thread(claim, worker, wait_s=20.0)
    assert (taken.job, taken.attempt) == (job, 2)


async def test_a_worker_of_another_model_returns_expired_leases_too(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    claim_one(worker)
    expire_leases(store, keys)
    claim(worker, lane=a_lane("other"))
    status = await gateway.status(job.id)
    assert status is not None
    assert (status.state, status.attempt) == (JobState.QUEUED, 1)


async def test_a_renewed_lease_does_not_expire(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    await submitted(gateway)
    claimed = claim_one(worker)
    expire_leases(store, keys)
    assert worker.renew([claimed]) == {claimed.job.id}
    assert claim(worker) == []


async def test_a_report_renews_and_records_the_step(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway, steps=8)
    claimed = claim_one(worker)
    expire_leases(store, keys)
    assert worker.report([claimed], 3) == {job.id}
    status = await gateway.status(job.id)
    assert status is not None
    assert (status.state, status.step, status.steps) == (JobState.RUNNING, 3, 8)
    assert claim(worker) == []


async def test_a_batch_is_renewed_at_once_without_those_that_were_lost(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    for _ in range(3):
        await submitted(gateway)
    claims = claim(worker, FREE_BATCHES)
    worker.give_back(claims[1])
    assert worker.renew(claims) == {claims[0].job.id, claims[2].job.id}


async def test_a_lost_lease_cannot_be_renewed(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    await submitted(gateway)
    stale = claim_one(worker)
    expire_leases(store, keys)
    claim_one(worker, name="worker-2")
    assert worker.renew([stale]) == frozenset()


async def test_a_stale_finish_is_refused_and_the_new_worker_answers(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    stale = claim_one(worker)
    expire_leases(store, keys)
    current = claim_one(worker, name="worker-2")
    assert not worker.finish(stale, a_result(stale, "worker-1"), [b"stale"])
    assert worker.finish(current, a_result(current, "worker-2"), [b"current"])
    outcome = await gateway.wait(job.id, 1)
    assert isinstance(outcome, Result)
    assert outcome.worker == "worker-2"
    assert await gateway.image(job.id, 0) == b"current"


async def test_a_stale_finish_is_refused_before_anyone_else_claimed_the_job(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    await submitted(gateway)
    stale = claim_one(worker)
    expire_leases(store, keys)
    claim(worker, lane=a_lane("other"))
    assert not worker.finish(stale, a_result(stale), some_images(stale))


async def test_a_worker_that_was_slow_but_not_replaced_may_finish(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    await submitted(gateway)
    claimed = claim_one(worker)
    expire_leases(store, keys)
    assert worker.finish(claimed, a_result(claimed), some_images(claimed))


async def test_a_stale_worker_can_neither_fail_nor_give_back(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    stale = claim_one(worker)
    expire_leases(store, keys)
    claim_one(worker, name="worker-2")
    assert not worker.fail(stale, Failure(job.id, Reason.ERROR, "boom"), retry=False)
    assert not worker.fail(stale, Failure(job.id, Reason.ERROR, "boom"), retry=True)
    assert not worker.give_back(stale)
    status = await gateway.status(job.id)
    assert status is not None
    assert status.state is JobState.RUNNING


async def test_a_job_whose_workers_keep_dying_becomes_a_dead_letter(
    gateway: RedisGatewayQueue,
    worker: RedisWorkerQueue,
    settings: QueueSettings,
    store: redis.Redis,
    keys: Keys,
) -> None:
    job = await submitted(gateway)
    for attempt in range(1, settings.max_attempts + 1):
        assert claim_one(worker).attempt == attempt
        expire_leases(store, keys)
    assert claim(worker) == []
    outcome = await gateway.wait(job.id, 1)
    assert isinstance(outcome, Failure)
    assert outcome.reason is Reason.DEAD
    assert "3 attempts" in outcome.detail
    assert await gateway.dead_letters() == 1


async def test_a_job_that_keeps_failing_becomes_a_dead_letter_that_says_why(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, settings: QueueSettings
) -> None:
    job = await submitted(gateway)
    for _ in range(settings.max_attempts):
        claimed = claim_one(worker)
        assert worker.fail(claimed, Failure(job.id, Reason.ERROR, "no memory"), retry=True)
    (dead,) = await gateway.list_dead()
    assert dead.id == job.id
    assert isinstance(dead.outcome, Failure)
    assert "no memory" in dead.outcome.detail


async def test_a_requeued_dead_letter_starts_anew(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway, 5000)
    worker.fail(claim_one(worker), Failure(job.id, Reason.DEAD, "hopeless"), retry=False)
    assert await gateway.requeue_dead(job.id)
    assert await gateway.dead_letters() == 0
    again = claim_one(worker)
    assert (again.job, again.attempt) == (job, 1)
    assert again.left_ms + again.waited_ms == 5000


async def test_only_a_dead_letter_can_be_requeued(gateway: RedisGatewayQueue) -> None:
    job = await submitted(gateway)
    assert not await gateway.requeue_dead(job.id)
    assert not await gateway.requeue_dead("unknown")


async def test_a_job_that_is_given_back_keeps_its_attempt_and_its_place(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    first = await submitted(gateway, 60_000)
    await submitted(gateway, 120_000)
    assert worker.give_back(claim_one(worker))
    again = claim_one(worker)
    assert ids([again]) == [first.id]
    assert again.attempt == 1


async def test_a_repeated_write_of_the_same_claim_succeeds_without_effect(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    await submitted(gateway)
    returned = claim_one(worker)
    assert worker.give_back(returned)
    assert worker.give_back(returned)
    claimed = claim_one(worker)
    assert claimed.attempt == 1
    assert worker.finish(claimed, a_result(claimed), [b"first"])
    assert worker.finish(claimed, a_result(claimed), [b"second"])
    assert await gateway.image(claimed.job.id, 0) == b"first"
