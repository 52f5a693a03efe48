"""A store that is away, full, or set up to lose jobs is reported in one clear sentence."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from app.contract.connection import check_store, ping
from app.contract.errors import StoreForgets, StoreUnavailable
from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.jobs import Failure, JobState, Reason
from app.contract.settings import QueueSettings
from app.contract.worker_queue import RedisWorkerQueue
from app.store import EmbeddedStore
from tests.builders import a_book, a_card, a_job, a_lane, a_result, some_images
from tests.conftest import SERVERS, server_binary
from tests.contract.queueing import claim, claim_one, submitted

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

NOWHERE = "unix:///nowhere/at/all"


@pytest.fixture
def limited(store: redis.Redis) -> Iterator[redis.Redis]:
    """Yield the client of a server whose memory limits a test may change."""
    yield store
    store.config_set("maxmemory", 0)
    store.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("submit", (a_job(), 1000.0)),
        ("wait", ("job", 1.0)),
        ("status", ("job",)),
        ("image", ("job", 0)),
        ("cancel", ("job",)),
        ("backlog", (a_lane(), 1000.0)),
        ("depths", ()),
        ("dead_letters", ()),
        ("memory", ()),
        ("list_dead", ()),
        ("requeue_dead", ("job",)),
        ("ordered", ("job",)),
        ("cards", ()),
        ("book", ("digest",)),
        ("now_unix_ms", ()),
    ],
)
async def test_the_gateway_says_that_the_store_is_away(method: str, args: tuple[Any, ...]) -> None:
    queue = RedisGatewayQueue.connect(NOWHERE, QueueSettings())
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await getattr(queue, method)(*args)
    await queue.aclose()


def test_the_worker_says_that_the_store_is_away() -> None:
    queue = RedisWorkerQueue.connect(NOWHERE, QueueSettings())
    for call in (
        lambda: claim(queue),
        lambda: queue.publish(a_card(), a_book()),
        lambda: queue.retire("worker-1"),
    ):
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            call()


@pytest.fixture
def swallowing() -> Iterator[str]:
    """Yield the URL of an address where a connection is neither made nor refused."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        with socket.create_connection(deaf.getsockname()):
            yield f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"


async def test_a_network_that_swallows_everything_is_reported_in_time(swallowing: str) -> None:
    queue = RedisGatewayQueue.connect(swallowing, QueueSettings())
    started_s = time.monotonic()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await queue.depths()
    assert time.monotonic() - started_s < 10
    await queue.aclose()


async def test_a_store_without_memory_refuses_the_job_and_says_so(
    gateway: RedisGatewayQueue, limited: redis.Redis
) -> None:
    limited.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable, match="out of memory"):
        await submitted(gateway)


async def test_a_store_without_memory_still_brings_its_jobs_to_their_end(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, limited: redis.Redis
) -> None:
    jobs = [await submitted(gateway, 60_000 + i) for i in range(3)]
    worker.publish(a_card(), a_book())
    limited.config_set("maxmemory", 1)
    worker.publish(a_card(), a_book())
    claims = [claim_one(worker) for _ in jobs]
    assert len(worker.report(claims, 1)) == len(jobs)
    assert worker.finish(claims[0], a_result(claims[0]), some_images(claims[0]))
    assert worker.fail(claims[1], Failure(jobs[1].id, Reason.ERROR, "boom"), retry=False)
    assert worker.give_back(claims[2])
    assert await gateway.cancel(jobs[2].id) is JobState.CANCELLED


async def test_a_replica_refuses_the_job_and_says_so(
    gateway: RedisGatewayQueue, store: redis.Redis
) -> None:
    store.replicaof("127.0.0.1", 1)
    try:
        with pytest.raises(StoreUnavailable, match="replica"):
            await submitted(gateway)
    finally:
        store.replicaof("NO", "ONE")


def test_a_store_that_may_evict_jobs_is_refused(store_url: str, limited: redis.Redis) -> None:
    limited.config_set("maxmemory", 10**9)
    limited.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(StoreForgets, match="noeviction"):
        check_store(store_url)


def test_a_store_that_never_evicts_is_accepted(store_url: str, limited: redis.Redis) -> None:
    limited.config_set("maxmemory", 10**9)
    check_store(store_url)


def test_a_store_that_hides_its_configuration_is_accepted(
    store_url: str, store: redis.Redis
) -> None:
    store.acl_setuser("guest", enabled=True, passwords=["+pw"], commands=["+ping", "+hello"])
    try:
        check_store(store_url.replace("unix://", "unix://guest:pw@"))
    finally:
        store.acl_deluser("guest")


def test_a_wrong_password_is_reported_without_repeating_it(store_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="password") as caught:
        check_store(store_url.replace("unix://", "unix://someone:hunter2@"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://:hunter2@localhost", "localhost:6379", ""])
def test_a_url_of_another_kind_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StoreUnavailable, match="redis://") as caught:
        check_store(url)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_does_not_answer_is_reported_in_time() -> None:
    with EmbeddedStore() as store:
        os.kill(store.pid, signal.SIGSTOP)
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            ping(store.url, timeout_s=0.1)
        assert time.monotonic() - started < 5
        os.kill(store.pid, signal.SIGCONT)


@pytest.mark.parametrize("server", SERVERS)
async def test_a_killed_store_comes_back_with_every_accepted_job(
    server: str, tmp_path: Path
) -> None:
    binary = server_binary(server)
    settings = QueueSettings()
    with EmbeddedStore(tmp_path, binary=binary) as store:
        gateway = RedisGatewayQueue.connect(store.url, settings)
        jobs = [await submitted(gateway, 60_000 + i) for i in range(20)]
        worker = RedisWorkerQueue.connect(store.url, settings)
        running = claim_one(worker)
        os.kill(store.pid, signal.SIGKILL)
        await gateway.aclose()
        worker.close()
    with EmbeddedStore(tmp_path, binary=binary) as store:
        worker = RedisWorkerQueue.connect(store.url, settings)
        assert worker.renew([running]) == {jobs[0].id}
        assert [claim_one(worker).job for _ in jobs[1:]] == jobs[1:]
        worker.close()


async def test_the_store_tells_how_full_it_is(
    gateway: RedisGatewayQueue, store: redis.Redis
) -> None:
    store.config_set("maxmemory", 10**9)
    try:
        memory = await gateway.memory()
    finally:
        store.config_set("maxmemory", 0)

    assert memory is not None
    assert 0 < memory.used_bytes < memory.limit_bytes == 10**9


async def test_a_user_that_may_not_ask_learns_nothing_of_the_memory(
    store_url: str, store: redis.Redis, settings: QueueSettings
) -> None:
    store.execute_command("ACL", "SETUSER", "default", "-info")
    queue = RedisGatewayQueue.connect(store_url, settings)
    try:
        assert await queue.memory() is None
    finally:
        store.execute_command("ACL", "SETUSER", "default", "+info")
        await queue.aclose()
