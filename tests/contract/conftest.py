"""Both sides of the queue and a plain client, on a real server under the test's own prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.contract.connection import connect
from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.keys import Keys
from app.contract.worker_queue import RedisWorkerQueue

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

    from app.contract.ports import GatewayQueue, WorkerQueue
    from app.contract.settings import QueueSettings

    # The type checker holds both sides to what their ports promise.
    gateway_port: type[GatewayQueue] = RedisGatewayQueue
    worker_port: type[WorkerQueue] = RedisWorkerQueue


@pytest.fixture
def keys(prefix: str) -> Keys:
    """Return the keys of this test."""
    return Keys(prefix)


@pytest.fixture
def settings(queue_settings: QueueSettings) -> QueueSettings:
    """Return the settings of both sides."""
    return queue_settings


@pytest.fixture
def gateway(queue: RedisGatewayQueue) -> RedisGatewayQueue:
    """Return the gateway's side."""
    return queue


@pytest.fixture
def worker(store_url: str, settings: QueueSettings) -> Iterator[RedisWorkerQueue]:
    """Yield the worker's side."""
    queue = RedisWorkerQueue.connect(store_url, settings)
    yield queue
    queue.close()


@pytest.fixture
def store(store_url: str) -> Iterator[redis.Redis]:
    """Yield a plain client, to look at keys and to break things."""
    with connect(store_url) as client:
        yield client
