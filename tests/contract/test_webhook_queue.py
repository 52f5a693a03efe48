"""The end of a job with a webhook is handed out until it is settled, to one gateway at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.contract.jobs import Failure, JobState, Reason
from tests.builders import a_job, a_result, some_images
from tests.contract.queueing import MINUTE_MS, claim_one

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from app.contract.gateway_queue import RedisGatewayQueue
    from app.contract.keys import Keys
    from app.contract.settings import QueueSettings
    from app.contract.webhook_queue import Delivery
    from app.contract.worker_queue import RedisWorkerQueue

URL = "https://example.org/hook"


async def ended(gateway: RedisGatewayQueue, worker: RedisWorkerQueue, webhook: str = URL) -> str:
    job = a_job()
    await gateway.submit(job, MINUTE_MS, webhook=webhook)
    worker.finish(claim_one(worker), a_result(job), some_images(job))
    return job.id


async def due(gateway: RedisGatewayQueue, lease_s: float = 60.0) -> Sequence[Delivery]:
    return await gateway.webhooks.due(10, lease_s)


async def test_a_job_is_due_when_it_has_ended_and_not_before(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    job = a_job()
    await gateway.submit(job, MINUTE_MS, webhook=URL)
    claimed = claim_one(worker)
    assert not await due(gateway)
    worker.finish(claimed, a_result(job), some_images(job))

    (delivery,) = await due(gateway)
    assert (delivery.job_id, delivery.url, delivery.tries) == (job.id, URL, 1)


async def test_a_job_without_a_webhook_is_never_due(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    await ended(gateway, worker, webhook="")

    assert not await due(gateway)


async def test_one_gateway_at_a_time_has_it_and_the_next_one_when_it_is_silent(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    await ended(gateway, worker)
    (first,) = await due(gateway, lease_s=0.0)
    (second,) = await due(gateway)

    assert not await due(gateway)
    assert (first.tries, second.tries) == (1, 2)
    assert not await gateway.webhooks.settle(first)
    assert await gateway.webhooks.settle(second)


async def test_what_is_settled_is_over_and_what_is_retried_comes_back(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    await ended(gateway, worker)
    (delivery,) = await due(gateway)
    await gateway.webhooks.settle(delivery, retry_s=60.0)
    assert not await due(gateway)
    store.zadd(keys.hooks, {delivery.job_id: 1})
    (again,) = await due(gateway)
    assert again.tries == 2
    await gateway.webhooks.settle(again)

    assert not store.exists(keys.hooks)
    assert not await gateway.webhooks.settle(again)


async def test_a_result_outlives_its_ttl_until_it_was_told(
    gateway: RedisGatewayQueue,
    worker: RedisWorkerQueue,
    store: redis.Redis,
    keys: Keys,
    settings: QueueSettings,
) -> None:
    job_id = await ended(gateway, worker)
    assert store.ttl(keys.job(job_id)) > settings.result_ttl_s
    assert store.ttl(keys.hooks) > settings.result_ttl_s
    (delivery,) = await due(gateway)
    await gateway.webhooks.settle(delivery)

    assert 0 < store.ttl(keys.job(job_id)) <= settings.result_ttl_s


async def test_a_dead_letter_is_told_again_when_it_was_requeued_and_ends_anew(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = a_job()
    await gateway.submit(job, MINUTE_MS, webhook=URL)
    worker.fail(claim_one(worker), Failure(job.id, Reason.DEAD, "boom"), retry=False)
    (stale,) = await due(gateway, lease_s=0.0)
    await gateway.requeue_dead(job.id)
    assert not await due(gateway)
    worker.finish(claim_one(worker), a_result(job), some_images(job))

    assert not await gateway.webhooks.settle(stale)
    (delivery,) = await due(gateway)
    assert delivery.tries == 1
    status = await gateway.status(job.id)
    assert status is not None
    assert status.state is JobState.DONE


async def test_a_full_store_still_hands_out_and_settles(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis
) -> None:
    await ended(gateway, worker)
    store.config_set("maxmemory", 1)
    try:
        (delivery,) = await due(gateway)
        assert await gateway.webhooks.settle(delivery)
    finally:
        store.config_set("maxmemory", 0)
