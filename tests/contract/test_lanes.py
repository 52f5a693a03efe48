"""Lanes: jobs of one model at different sizes never mix, nor do versions that know no lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.contract.lanes import Lane
from app.contract.ports import Backlog
from tests.builders import a_card, a_job, a_lane
from tests.contract.queueing import FREE_BATCHES, MINUTE_MS, claim, ids, submitted

if TYPE_CHECKING:
    import redis

    from app.contract.gateway_queue import RedisGatewayQueue
    from app.contract.jobs import Job
    from app.contract.keys import Keys
    from app.contract.worker_queue import RedisWorkerQueue

LARGE: dict[str, Any] = {"width": 128, "height": 128}
WIDE = Lane("emoji", 128, 128)
FAR_UNIX_MS = 1e14


async def as_before(
    gateway: RedisGatewayQueue, store: redis.Redis, keys: Keys, job: Job, budget_ms: float
) -> Job:
    """Leave a job in the store as a gateway did that knew no lanes."""
    await gateway.submit(job, budget_ms)
    deadline: Any = store.zscore(keys.ready(job.lane.name), job.id)
    for key in (keys.ready(job.lane.name), keys.work(job.lane.name), keys.bell(job.lane.name)):
        store.delete(key)
    store.srem(keys.models, job.lane.name)
    store.hdel(keys.job(job.id), "lane")
    store.zadd(keys.ready(job.model), {job.id: deadline})
    store.hset(keys.work(job.model), job.id, job.plan.predicted_ms)
    store.sadd(keys.models, job.model)
    return job


def unaware_worker(store: redis.Redis, keys: Keys) -> None:
    """Let a worker be alive that looks for jobs of its model and knows no lanes."""
    store.zadd(keys.crew("emoji"), {"old": FAR_UNIX_MS})


@pytest.mark.parametrize("model", ["emoji", "org/name", "64x64:odd", "two\nlines"])
def test_a_lane_is_read_back_from_its_name(model: str) -> None:
    lane = Lane(model, 512, 768)
    assert Lane.named(lane.name) == lane


def test_what_names_no_lane_is_refused() -> None:
    with pytest.raises(ValueError, match="not the name of a lane: emoji"):
        Lane.named("emoji")


def test_a_worker_and_its_jobs_are_of_one_lane() -> None:
    assert a_card().lane == a_job().lane == a_lane()


async def test_a_worker_gets_only_jobs_of_its_size(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    large = await submitted(gateway, **LARGE)
    small = await submitted(gateway)
    assert ids(claim(worker, FREE_BATCHES)) == [small.id]
    assert ids(claim(worker, lane=WIDE)) == [large.id]


async def test_a_worker_that_finds_nothing_silences_no_bell_of_another_size(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    await submitted(gateway, **LARGE)
    claim(worker)
    assert store.llen(keys.bell(WIDE.name)) == 1


async def test_each_size_has_a_backlog_of_its_own(gateway: RedisGatewayQueue) -> None:
    await submitted(gateway, predicted_ms=100)
    large = await submitted(gateway, predicted_ms=700, **LARGE)
    backlog = await gateway.backlog(WIDE, 5 * MINUTE_MS)
    assert (backlog.jobs, backlog.work_ms) == (1, 700.0)
    assert [queued.id for queued in backlog.line.queued] == [large.id]
    assert await gateway.depths() == {a_lane(): Backlog(1, 100.0), WIDE: Backlog(1, 700.0)}


async def test_jobs_of_the_version_before_are_claimed_by_workers_of_their_size(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    late = await as_before(gateway, store, keys, a_job(), 3 * MINUTE_MS)
    large = await as_before(gateway, store, keys, a_job(**LARGE), MINUTE_MS)
    early = await submitted(gateway, 2 * MINUTE_MS)
    assert ids(claim(worker, FREE_BATCHES)) == [early.id, late.id]
    assert ids(claim(worker, lane=WIDE)) == [large.id]
    assert await gateway.depths() == {}


async def test_jobs_of_the_version_before_count_for_their_size(
    gateway: RedisGatewayQueue, store: redis.Redis, keys: Keys
) -> None:
    await as_before(gateway, store, keys, a_job(predicted_ms=100), MINUTE_MS)
    await as_before(gateway, store, keys, a_job(predicted_ms=700, **LARGE), MINUTE_MS)
    await submitted(gateway, predicted_ms=20)
    backlog = await gateway.backlog(a_lane(), 5 * MINUTE_MS)
    assert (backlog.jobs, backlog.work_ms, len(backlog.line.queued)) == (2, 120.0, 2)
    assert await gateway.depths() == {a_lane(): Backlog(2, 120.0), WIDE: Backlog(1, 700.0)}


async def test_a_job_of_the_version_before_can_be_cancelled(
    gateway: RedisGatewayQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await as_before(gateway, store, keys, a_job(), MINUTE_MS)
    await gateway.cancel(job.id)
    assert await gateway.depths() == {}


async def test_jobs_wait_for_the_whole_model_while_a_worker_lives_that_knows_no_lanes(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    unaware_worker(store, keys)
    job = await submitted(gateway)
    assert store.zrange(keys.ready("emoji"), 0, -1) == [job.id.encode()]
    assert store.llen(keys.bell("emoji")) == 1
    assert ids(claim(worker, wait_s=5.0)) == [job.id]


async def test_what_other_scripts_moved_on_waits_no_longer(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    gone = await submitted(gateway)
    store.hset(keys.job(gone.id), "state", "cancelled")
    assert claim(worker) == []
    assert await gateway.depths() == {}
