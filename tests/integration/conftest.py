"""A real gateway on a real port before a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from app.settings import Settings
from app.store import EmbeddedStore
from tests.integration.fake_worker import FakeWorker
from tests.integration.gateways import running_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.settings import QueueSettings


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    """Yield the URL of one real server: what differs between servers is tried in tests/contract."""
    with EmbeddedStore() as store:
        yield store.url


@pytest.fixture
def settings(store_url: str) -> Settings:
    return Settings(store_url=store_url, port=0, fleet_ttl_ms=0, shutdown_grace_s=2)


@pytest.fixture
def gateway(settings: Settings, queue_settings: QueueSettings) -> Iterator[httpx.Client]:
    """Yield a client of a gateway that has no worker yet."""
    with (
        running_gateway(settings, queue_settings) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client


@pytest.fixture
def worker(store_url: str, queue_settings: QueueSettings) -> Iterator[FakeWorker]:
    """Yield a worker that answers at once."""
    with FakeWorker(store_url, queue_settings) as worker:
        yield worker
