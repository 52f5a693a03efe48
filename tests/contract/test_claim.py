"""What a claim shows of the line, and which jobs it takes."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from app.contract.jobs import Failure, Reason
from tests.builders import a_book, a_card, a_job, a_lane, a_plan_order
from tests.contract.queueing import (
    FREE_BATCHES,
    MINUTE_MS,
    claim,
    claim_by,
    claim_one,
    ids,
    line_of,
    submitted,
)

if TYPE_CHECKING:
    import redis

    from app.contract.gateway_queue import RedisGatewayQueue
    from app.contract.keys import Keys
    from app.contract.line import Line
    from app.contract.worker_queue import RedisWorkerQueue


async def test_jobs_are_claimed_in_the_order_of_their_deadlines(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    late = await submitted(gateway, 3 * MINUTE_MS)
    early = await submitted(gateway, 1 * MINUTE_MS)
    middle = await submitted(gateway, 2 * MINUTE_MS)
    claimed = [claim_one(worker).job.id for _ in range(3)]
    assert claimed == [early.id, middle.id, late.id]


async def test_the_claimed_job_is_the_submitted_one(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = await submitted(gateway, prompt="ein Käse 🧀", images=3)
    assert claim_one(worker, most=FREE_BATCHES).job == job


async def test_a_claim_says_how_much_time_is_left_and_was_spent(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    await submitted(gateway, 5000)
    claimed = claim_one(worker)
    assert claimed.left_ms + claimed.waited_ms == 5000
    assert claimed.waited_ms >= 0
    assert claimed.attempt == 1


async def test_jobs_of_one_class_may_have_been_promised_different_plans(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    first = await submitted(gateway, 1 * MINUTE_MS)
    await submitted(gateway, 2 * MINUTE_MS, guidance_scale=9.0)
    second = await submitted(gateway, 3 * MINUTE_MS, steps=8)
    assert ids(claim(worker, FREE_BATCHES)) == [first.id, second.id]


async def test_the_line_shows_who_waits_in_the_order_of_deadlines(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    plan = a_plan_order(predicted_ms=70.0)
    late = await submitted(gateway, 2 * MINUTE_MS, images=3, min_quality=0.25, plan=plan)
    early = await submitted(gateway, MINUTE_MS)
    line = line_of(worker)
    assert [queued.id for queued in line.queued] == [early.id, late.id]
    shown = line.queued[1]
    assert (shown.waiting.images, shown.waiting.floor, shown.waiting.quality) == (3, 0.25, 1.0)
    assert shown.predicted_ms == 70.0
    assert 2 * MINUTE_MS - 5000 < shown.waiting.left_ms <= 2 * MINUTE_MS


async def test_a_job_that_was_tried_before_is_of_a_class_of_its_own(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    tried = await submitted(gateway)
    worker.fail(claim_one(worker), Failure(tried.id, Reason.ERROR, "boom"), retry=True)
    await submitted(gateway, 2 * MINUTE_MS)
    assert ids(claim(worker, FREE_BATCHES)) == [tried.id]


async def test_the_line_remembers_who_came_of_late(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    await gateway.submit(a_job(images=2), MINUTE_MS, met_others=True)
    await submitted(gateway, MINUTE_MS + 1)
    line = line_of(worker)
    second, first = line.arrivals
    assert (first.images, first.budget_ms, first.met_others) == (2, MINUTE_MS, True)
    assert (second.images, second.met_others) == (1, False)
    assert 0 <= second.age_ms <= first.age_ms < 5000


async def test_the_line_counts_live_workers_of_the_model(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    for name, model in (("a", "emoji"), ("b", "emoji"), ("c", "other")):
        worker.publish(a_card(name, model=model), a_book())
    await submitted(gateway)
    line = line_of(worker)
    assert line.workers == 2


async def test_what_another_worker_took_in_the_meantime_is_left_out(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    first, second = [await submitted(gateway, MINUTE_MS + i) for i in range(2)]

    def too_slow(line: Line) -> list[str]:
        assert claim_one(worker).job.id == first.id
        return [queued.id for queued in line.queued]

    assert ids(claim_by(worker, too_slow)) == [second.id]


async def test_a_worker_gets_only_jobs_of_its_model(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    await submitted(gateway, model="other")
    assert claim(worker) == []


async def test_a_batch_stops_at_the_number_of_images_the_worker_can_make(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    jobs = [await submitted(gateway, MINUTE_MS + i, images=n) for i, n in enumerate((2, 1, 2))]
    assert ids(claim(worker, FREE_BATCHES)) == [jobs[0].id, jobs[1].id]


async def test_a_job_of_more_images_than_a_batch_is_claimed_alone(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    big = await submitted(gateway, MINUTE_MS, images=9)
    await submitted(gateway, 2 * MINUTE_MS)
    assert ids(claim(worker, FREE_BATCHES)) == [big.id]


async def test_a_job_that_is_late_is_still_handed_out(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    late = await submitted(gateway, -1000)
    claimed = claim_one(worker)
    assert claimed.job.id == late.id
    assert claimed.left_ms < 0


async def test_an_idle_claim_returns_when_its_time_is_over(worker: RedisWorkerQueue) -> None:
    started = time.monotonic()
    assert await asyncio.to_thread(claim, worker, wait_s=0.2) == []
    assert time.monotonic() - started >= 0.2


async def test_a_waiting_worker_is_woken_by_a_new_job(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    waiting = asyncio.create_task(asyncio.to_thread(claim, worker, wait_s=20.0))
    await asyncio.sleep(0)
    job = await submitted(gateway)
    assert ids(await waiting) == [job.id]


async def test_a_queued_job_rings_the_bell_of_its_model(
    gateway: RedisGatewayQueue, store: redis.Redis, keys: Keys
) -> None:
    await submitted(gateway, model="emoji")
    assert store.llen(keys.bell(a_lane().name)) == 1
    assert store.llen(keys.bell(a_lane("other").name)) == 0


async def test_the_bell_stays_short_and_is_silent_when_the_queue_is_empty(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    for _ in range(40):
        await submitted(gateway)
    assert 0 < store.llen(keys.bell(a_lane().name)) < 20
    while claim(worker):
        pass
    assert store.llen(keys.bell(a_lane().name)) == 0


async def test_a_claim_that_leaves_jobs_behind_rings_for_the_next_worker(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    await submitted(gateway)
    await submitted(gateway)
    store.delete(keys.bell(a_lane().name))
    claim_one(worker)
    assert store.llen(keys.bell(a_lane().name)) == 1


async def test_every_waiting_worker_gets_a_job_when_there_are_enough(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    waiting = [asyncio.to_thread(claim, worker, wait_s=20.0) for _ in range(3)]
    tasks = [asyncio.create_task(one) for one in waiting]
    jobs = [await submitted(gateway) for _ in range(3)]
    claimed = [ids(claims) for claims in await asyncio.gather(*tasks)]
    assert sorted(claimed) == sorted([job.id] for job in jobs)


async def test_an_unreadable_job_becomes_a_dead_letter_and_the_next_one_is_claimed(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    strange = await submitted(gateway)
    store.hset(keys.job(strange.id), "payload", '{"version":99}')
    job = await submitted(gateway, 2 * MINUTE_MS)
    assert ids(claim(worker, wait_s=5.0)) == [job.id]
    outcome = await gateway.wait(strange.id, 1)
    assert isinstance(outcome, Failure)
    assert outcome.reason is Reason.DEAD
    assert [dead.id for dead in await gateway.list_dead()] == [strange.id]


async def test_the_most_urgent_who_is_not_late_can_be_seen_without_a_claim(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    assert worker.urgent_ms(a_lane()) is None
    await submitted(gateway, -1000.0)
    await submitted(gateway, 3 * MINUTE_MS)
    await submitted(gateway, 2 * MINUTE_MS)
    await submitted(gateway, MINUTE_MS, width=128)
    left_ms = worker.urgent_ms(a_lane())

    assert left_ms is not None
    assert MINUTE_MS < left_ms <= 2 * MINUTE_MS
