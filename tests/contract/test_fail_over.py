"""When another server becomes the primary, both sides find it where their URL leads by then."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from app.contract.connection import connect
from app.contract.errors import StoreUnavailable
from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.settings import QueueSettings
from app.contract.worker_queue import RedisWorkerQueue
from app.store import EmbeddedStore
from tests.contract.queueing import claim, claim_one, submitted
from tests.integration.gateways import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = QueueSettings()


class Pair:
    """Two servers, and a URL that leads to the first until it has failed."""

    def __init__(self, first: EmbeddedStore, second: EmbeddedStore, folder: Path) -> None:
        self._first, self._second = first, second
        self._place = folder / "primary"
        self._lead_to(first)
        self.url = f"unix://{self._place}"

    def fail_over(self) -> None:
        """Let the URL lead to the second server; connections to the first stay open."""
        self._lead_to(self._second)
        with connect(self._first.url) as demoted:
            demoted.replicaof("127.0.0.1", 1)

    def somebody_listens(self) -> bool:
        """Whether a worker waits for a bell of the first server."""
        with connect(self._first.url) as asked:
            return bool(asked.info("clients")["blocked_clients"])

    def _lead_to(self, store: EmbeddedStore) -> None:
        self._place.unlink(missing_ok=True)
        self._place.symlink_to(store.url.removeprefix("unix://"))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with EmbeddedStore() as first, EmbeddedStore() as second:
        yield Pair(first, second, tmp_path)


async def test_jobs_are_accepted_by_the_new_primary(pair: Pair) -> None:
    gateway = RedisGatewayQueue.connect(pair.url, SETTINGS)
    await submitted(gateway)
    pair.fail_over()
    job = await submitted(gateway)
    await gateway.aclose()

    worker = RedisWorkerQueue.connect(pair.url, SETTINGS)
    assert claim_one(worker).job == job
    worker.close()


def test_a_worker_that_listens_is_told_in_one_sentence_and_goes_on(pair: Pair) -> None:
    worker = RedisWorkerQueue.connect(pair.url, SETTINGS)
    with ThreadPoolExecutor(1) as elsewhere:
        waiting = elsewhere.submit(claim, worker, wait_s=30)
        wait_until(pair.somebody_listens)
        pair.fail_over()
        with pytest.raises(StoreUnavailable, match="replica"):
            waiting.result()

    assert claim(worker) == []
    worker.close()
