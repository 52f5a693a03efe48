"""One store is enough to fuzz a gateway before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.store import EmbeddedStore
from tests.integration.conftest import gateway, queue_settings, settings, worker

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["gateway", "queue_settings", "settings", "worker"]


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    """Yield the URL of a real server."""
    with EmbeddedStore() as store:
        yield store.url
