"""The real service and a real browser, started once for all tests of a module.

No longer: while Playwright is there its event loop runs, and no other can in that process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.visits import Visit, chromium, visit
from tests.e2e.processes import Service, service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def running(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service that has made its warm-up picture, where there is a browser to use it."""
    with service(tmp_path_factory.mktemp("service")) as started:
        yield started


@pytest.fixture
def visitor(browser: Browser, running: Service) -> Iterator[Visit]:
    """Yield a visitor at a desk."""
    with visit(browser, running.url) as started:
        yield started
