"""Real workers with a tiny model, on the test's own queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.contract.gateway_queue import RedisGatewayQueue
from tests.integration.worker_loops import Start
from tests.tiny_books import book_for
from tests.tiny_models import load_tiny

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.contract.settings import QueueSettings
    from schedules.book import PlanBook
    from workers.pipeline import Model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_tiny("sd1", tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def book(model: Model) -> PlanBook:
    return book_for(model)


@pytest.fixture
async def queue(store_url: str, queue_settings: QueueSettings) -> AsyncIterator[RedisGatewayQueue]:
    """Yield the gateway's side."""
    side = RedisGatewayQueue.connect(store_url, queue_settings)
    yield side
    await side.aclose()


@pytest.fixture
def start(store_url: str, queue_settings: QueueSettings, model: Model, book: PlanBook) -> Start:
    """Return what runs a worker for the length of a context."""
    return Start(store_url, queue_settings, model, book)
