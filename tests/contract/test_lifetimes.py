"""Nothing stays for ever: every key has a TTL, or vanishes with the last job it is about."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import pytest

from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.jobs import Failure, Reason
from app.contract.keys import Keys
from app.contract.settings import QueueSettings
from tests.builders import a_book, a_card, a_result, some_images
from tests.contract.queueing import another_worker, claim_one, eventually, submitted

if TYPE_CHECKING:
    import redis

    from app.contract.worker_queue import RedisWorkerQueue


def _lasting(store: redis.Redis, prefix: str) -> set[str]:
    """Return the keys without a TTL, shortened to their family."""
    found = store.scan_iter(match=f"{{{prefix}}}*", count=1000)
    return {key.decode().split(":")[1] for key in found if store.ttl(key) == -1}


async def test_only_live_jobs_have_keys_without_ttl(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, prefix: str
) -> None:
    worker.publish(a_card(), a_book())
    await submitted(gateway)
    claim_one(worker)
    await submitted(gateway)
    queued_or_running = {"job", "ready", "work", "models", "leases"}
    assert _lasting(store, prefix) == queued_or_running


async def test_when_all_jobs_are_over_every_key_has_a_ttl(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, prefix: str
) -> None:
    worker.publish(a_card(), a_book())
    done, failed, dead, queued = [await submitted(gateway, 60_000 + i) for i in range(4)]
    worker.finish(claim_one(worker), a_result(done), some_images(done))
    worker.fail(claim_one(worker), Failure(failed.id, Reason.ERROR, "boom"), retry=False)
    worker.fail(claim_one(worker), Failure(dead.id, Reason.DEAD, "boom"), retry=False)
    await gateway.cancel(queued.id)
    assert _lasting(store, prefix) == set()


async def test_a_result_and_its_pictures_live_as_long_as_each_other(
    gateway: RedisGatewayQueue,
    worker: RedisWorkerQueue,
    store: redis.Redis,
    keys: Keys,
    settings: QueueSettings,
) -> None:
    job = await submitted(gateway)
    worker.finish(claim_one(worker), a_result(job), some_images(job))
    for key in (keys.job(job.id), keys.images(job.id)):
        assert settings.result_ttl_s - 60 < store.ttl(key) <= settings.result_ttl_s


async def test_a_result_is_forgotten_after_its_ttl(
    gateway: RedisGatewayQueue, store_url: str, settings: QueueSettings
) -> None:
    job = await submitted(gateway)
    with another_worker(store_url, settings, result_ttl_s=1) as brief:
        brief.finish(claim_one(brief), a_result(job), some_images(job))
    assert await gateway.status(job.id) is not None

    async def forgotten() -> bool:
        return await gateway.status(job.id) is None and await gateway.image(job.id, 0) is None

    await eventually(forgotten)


async def test_an_old_dead_letter_is_forgotten(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    worker.fail(claim_one(worker), Failure(job.id, Reason.DEAD, "boom"), retry=False)
    store.zadd(keys.dead, {job.id: 1})
    assert await gateway.dead_letters() == 0
    assert await gateway.list_dead() == []


async def test_a_requeued_dead_letter_outlives_the_ttl_it_had(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway)
    worker.fail(claim_one(worker), Failure(job.id, Reason.DEAD, "boom"), retry=False)
    await gateway.requeue_dead(job.id)
    assert store.ttl(keys.job(job.id)) == -1


async def test_a_finished_job_no_longer_holds_its_prompt(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    job = await submitted(gateway, prompt="my secret garden")
    worker.finish(claim_one(worker), a_result(job), some_images(job))
    assert not any(b"garden" in value for value in store.hgetall(keys.job(job.id)).values())


async def test_services_with_other_prefixes_do_not_see_each_other(
    gateway: RedisGatewayQueue, store_url: str, settings: QueueSettings
) -> None:
    job = await submitted(gateway)
    other = RedisGatewayQueue.connect(store_url, replace(settings, prefix=settings.prefix + "x"))
    assert await other.status(job.id) is None
    await other.aclose()


def test_all_keys_carry_the_hash_tag() -> None:
    assert all(key.startswith("{blockcache}:") for key in Keys().for_scripts())


@pytest.mark.parametrize("prefix", ["", "{a}", "a}"])
def test_a_prefix_that_would_break_the_hash_tag_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        QueueSettings(prefix=prefix)


@pytest.mark.parametrize("name", [f.name for f in fields(QueueSettings) if f.name != "prefix"])
def test_a_limit_below_one_is_refused(name: str) -> None:
    too_low: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=name):
        QueueSettings(**too_low)
