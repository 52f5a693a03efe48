"""The real processes with the bundled model, started once for all tests here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.processes import Service, service

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service that has made its warm-up picture."""
    with service(tmp_path_factory.mktemp("service")) as started:
        yield started
