"""Cancelling: a queued job at once, a running one when its worker stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.contract.jobs import Failure, JobState, Reason
from tests.builders import a_result, some_images
from tests.contract.queueing import claim, claim_one, expire_leases, submitted

if TYPE_CHECKING:
    import redis

    from app.contract.gateway_queue import RedisGatewayQueue
    from app.contract.keys import Keys
    from app.contract.worker_queue import RedisWorkerQueue


async def _reason(gateway: RedisGatewayQueue, job_id: str) -> Reason:
    outcome = await gateway.wait(job_id, 1)
    assert isinstance(outcome, Failure)
    return outcome.reason


async def test_a_cancelled_queued_job_is_gone_at_once(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    assert await gateway.cancel(job.id) is JobState.CANCELLED
    assert claim(worker) == []
    assert await gateway.depths() == {}
    assert await _reason(gateway, job.id) is Reason.CANCELLED


async def test_the_worker_of_a_cancelled_job_learns_that_it_is_not_wanted(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    claimed = claim_one(worker)
    assert await gateway.cancel(job.id) is JobState.RUNNING
    assert worker.renew([claimed]) == frozenset()
    assert worker.report([claimed], 1) == frozenset()


async def test_a_cancelled_running_job_is_over_when_its_worker_stops(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    claimed = claim_one(worker)
    await gateway.cancel(job.id)
    assert worker.fail(claimed, Failure(job.id, Reason.CANCELLED, "stopped"), retry=False)
    assert await gateway.cancel(job.id) is JobState.CANCELLED
    assert await _reason(gateway, job.id) is Reason.CANCELLED


async def test_a_cancelled_job_is_not_tried_again(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    claimed = claim_one(worker)
    await gateway.cancel(job.id)
    assert worker.fail(claimed, Failure(job.id, Reason.ERROR, "boom"), retry=True)
    assert await _reason(gateway, job.id) is Reason.CANCELLED


async def test_a_cancelled_job_that_is_given_back_is_over(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    claimed = claim_one(worker)
    await gateway.cancel(job.id)
    assert worker.give_back(claimed)
    assert await _reason(gateway, job.id) is Reason.CANCELLED


async def test_a_cancelled_job_whose_worker_died_is_over(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    claim_one(worker)
    await gateway.cancel(job.id)
    expire_leases(store, keys)
    assert claim(worker) == []
    assert await _reason(gateway, job.id) is Reason.CANCELLED


async def test_cancelling_a_job_of_a_dead_worker_needs_no_other_worker(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    stale = claim_one(worker)
    expire_leases(store, keys)
    assert await gateway.cancel(job.id) is JobState.CANCELLED
    assert not worker.finish(stale, a_result(stale), some_images(stale))


async def test_cancelling_a_finished_job_changes_nothing(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    claimed = claim_one(worker)
    worker.finish(claimed, a_result(claimed), some_images(claimed))
    assert await gateway.cancel(job.id) is JobState.DONE
    assert await gateway.wait(job.id, 1) == a_result(claimed)


async def test_cancelling_an_unknown_job_says_so(gateway: RedisGatewayQueue) -> None:
    assert await gateway.cancel("unknown") is None


async def test_a_cancelled_job_that_is_finished_all_the_same_stays_cancelled(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    claimed = claim_one(worker)
    await gateway.cancel(job.id)
    assert worker.finish(claimed, a_result(claimed), some_images(claimed))
    assert await _reason(gateway, job.id) is Reason.CANCELLED
    assert await gateway.image(job.id, 0) is None
