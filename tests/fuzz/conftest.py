"""One store is enough to fuzz a gateway before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.store import EmbeddedStore

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    """Yield the URL of a real server."""
    with EmbeddedStore() as store:
        yield store.url
