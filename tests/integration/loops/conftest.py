"""Real workers with a tiny model, on the test's own queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.worker_loops import Start
from tests.tiny_books import book_for
from tests.tiny_models import load_tiny

if TYPE_CHECKING:
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
def start(store_url: str, queue_settings: QueueSettings, model: Model, book: PlanBook) -> Start:
    """Return what runs a worker for the length of a context."""
    return Start(store_url, queue_settings, model, book)
