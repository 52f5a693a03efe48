"""Accepting jobs, and what the gateway can see of the queue."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.contract.errors import QueueFull, TooManyJobs
from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.jobs import JobState
from app.contract.ports import Backlog
from tests.builders import a_job, a_lane, a_result, some_images
from tests.contract.queueing import MINUTE_MS, claim, claim_one, submitted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import redis

    from app.contract.keys import Keys
    from app.contract.settings import QueueSettings
    from app.contract.worker_queue import RedisWorkerQueue


@pytest.fixture
async def small_gateway(
    store_url: str, settings: QueueSettings
) -> AsyncIterator[RedisGatewayQueue]:
    queue = RedisGatewayQueue.connect(store_url, replace(settings, max_jobs=2, unclaimed_ttl_s=60))
    yield queue
    await queue.aclose()


async def test_the_deadline_is_the_budget_from_the_clock_of_the_store(
    gateway: RedisGatewayQueue,
) -> None:
    before = await gateway.now_unix_ms()
    deadline = await gateway.submit(a_job(), 5000)
    assert before + 5000 <= deadline <= await gateway.now_unix_ms() + 5000


async def test_both_sides_read_the_same_clock(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    before = await gateway.now_unix_ms()
    assert before <= worker.now_unix_ms() <= await gateway.now_unix_ms()


async def test_the_same_id_twice_is_one_job(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = a_job()
    assert await gateway.submit(job, 1000) == await gateway.submit(job, 9000)
    claim_one(worker)
    assert claim(worker) == []


async def test_a_finished_job_is_not_queued_again_by_its_id(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    claimed = claim_one(worker)
    worker.finish(claimed, a_result(claimed), some_images(claimed))
    await gateway.submit(job, MINUTE_MS)
    assert claim(worker) == []


async def test_a_full_queue_refuses_a_new_job(small_gateway: RedisGatewayQueue) -> None:
    await submitted(small_gateway)
    await submitted(small_gateway, model="other")
    with pytest.raises(QueueFull, match="2 jobs"):
        await submitted(small_gateway)


async def test_a_full_queue_still_knows_the_jobs_it_has(small_gateway: RedisGatewayQueue) -> None:
    job = await submitted(small_gateway)
    await submitted(small_gateway)
    assert await small_gateway.submit(job, MINUTE_MS) > 0


async def test_running_jobs_do_not_fill_the_queue(
    small_gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    for _ in range(4):
        await submitted(small_gateway)
        claim_one(worker)


async def test_jobs_nobody_took_long_after_their_deadline_give_way(
    small_gateway: RedisGatewayQueue,
) -> None:
    forgotten = await submitted(small_gateway, -61_000)
    await submitted(small_gateway)
    await submitted(small_gateway)
    status = await small_gateway.status(forgotten.id)
    assert status is not None
    assert status.state is JobState.DEAD


async def test_the_status_of_a_queued_job_tells_its_position_in_its_model(
    gateway: RedisGatewayQueue,
) -> None:
    await submitted(gateway, 1 * MINUTE_MS)
    await submitted(gateway, 1 * MINUTE_MS, model="other")
    job = a_job(steps=8)
    deadline = await gateway.submit(job, 2 * MINUTE_MS)
    status = await gateway.status(job.id)
    assert status is not None
    assert (status.id, status.model, status.state) == (job.id, "emoji", JobState.QUEUED)
    assert (status.position, status.attempt, status.step, status.steps) == (1, 0, 0, 8)
    assert (status.deadline_unix_ms, status.outcome) == (deadline, None)
    assert status.deadline_unix_ms - status.created_unix_ms == 2 * MINUTE_MS


async def test_a_running_job_has_no_position(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway)
    claim_one(worker)
    status = await gateway.status(job.id)
    assert status is not None
    assert (status.state, status.attempt, status.position) == (JobState.RUNNING, 1, None)


async def test_an_unknown_job_has_no_status(gateway: RedisGatewayQueue) -> None:
    assert await gateway.status("unknown") is None


async def test_the_backlog_counts_only_work_with_an_earlier_deadline(
    gateway: RedisGatewayQueue,
) -> None:
    await submitted(gateway, 1 * MINUTE_MS, predicted_ms=100.5)
    await submitted(gateway, 2 * MINUTE_MS, predicted_ms=200)
    await submitted(gateway, 9 * MINUTE_MS, predicted_ms=400)
    await submitted(gateway, 1 * MINUTE_MS, predicted_ms=800, model="other")
    backlog = await gateway.backlog(a_lane(), 5 * MINUTE_MS)
    assert (backlog.jobs, backlog.work_ms) == (2, 300.5)
    assert await gateway.backlog(a_lane("unheard-of"), 5 * MINUTE_MS) == Backlog(0, 0.0)


async def test_whoever_asks_in_the_same_turn_gets_the_own_backlog(
    gateway: RedisGatewayQueue,
) -> None:
    await submitted(gateway, 1 * MINUTE_MS, predicted_ms=100)
    await submitted(gateway, 3 * MINUTE_MS, predicted_ms=200)
    asked = [(a_lane(), 2), (a_lane("other"), 2), (a_lane(), 5)]
    reading = (gateway.backlog(lane, minutes * MINUTE_MS) for lane, minutes in asked)
    found = await asyncio.gather(*reading)
    assert [(one.jobs, one.work_ms) for one in found] == [(1, 100.0), (0, 0.0), (2, 300.0)]


async def test_of_jobs_queued_in_one_turn_each_gets_the_own_answer(
    gateway: RedisGatewayQueue,
) -> None:
    jobs = [a_job(), a_job(owner="alice"), a_job(owner="alice")]
    limited = [gateway.submit(job, MINUTE_MS, most_live=1) for job in jobs]
    first, alices, refused = await asyncio.gather(*limited, return_exceptions=True)
    assert isinstance(first, int)
    assert isinstance(alices, int)
    assert isinstance(refused, TooManyJobs)
    assert (await gateway.backlog(a_lane(), 5 * MINUTE_MS)).jobs == 2


async def test_the_depths_count_all_queued_work_by_model(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    await submitted(gateway, 1 * MINUTE_MS, predicted_ms=100)
    await submitted(gateway, 2 * MINUTE_MS, predicted_ms=200)
    await submitted(gateway, predicted_ms=400, model="other")
    claim_one(worker)
    assert await gateway.depths() == {
        a_lane(): Backlog(1, 200.0),
        a_lane("other"): Backlog(1, 400.0),
    }


async def test_a_backlog_of_thousands_is_summed(
    gateway: RedisGatewayQueue, store_url: str, settings: QueueSettings
) -> None:
    roomy = RedisGatewayQueue.connect(store_url, replace(settings, max_jobs=10_000))
    for number in range(2500):
        await submitted(roomy, MINUTE_MS + number, predicted_ms=2)
    await roomy.aclose()
    backlog = await gateway.backlog(a_lane(), 5 * MINUTE_MS)
    assert (backlog.jobs, backlog.work_ms) == (2500, 5000.0)


async def test_a_backlog_shows_everyone_who_waits_whatever_the_deadline(
    gateway: RedisGatewayQueue,
) -> None:
    early, late = [await submitted(gateway, minutes * MINUTE_MS) for minutes in (1, 9)]
    backlog = await gateway.backlog(a_lane(), 5 * MINUTE_MS)
    assert [queued.id for queued in backlog.line.queued] == [early.id, late.id]


async def test_who_was_turned_away_came_too(gateway: RedisGatewayQueue) -> None:
    await gateway.turn_away(a_lane(), 3, 500.0)
    (came,) = (await gateway.backlog(a_lane(), MINUTE_MS)).line.arrivals
    assert (came.images, came.budget_ms, came.met_others) == (3, 500.0, True)


async def test_only_the_latest_arrivals_are_kept(
    gateway: RedisGatewayQueue, store: redis.Redis, keys: Keys
) -> None:
    for number in range(40):
        await gateway.submit(a_job(), 1000.0 + number)
    arrivals = (await gateway.backlog(a_lane(), MINUTE_MS)).line.arrivals
    assert [arrival.budget_ms for arrival in arrivals] == [1039.0 - n for n in range(32)]
    assert 0 < store.pttl(keys.arrivals(a_lane().name)) <= MINUTE_MS
