"""One model at two sizes: the jobs, promises and gauges of each are its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import a_book, a_card, costs
from tests.integration.fake_worker import FakeWorker
from tests.integration.gateways import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from app.contract.settings import QueueSettings

SMALL, LARGE = 64, 128
WISH: dict[str, Any] = {"prompt": "a cat", "latency_budget_ms": 5000}


def sized(size: int, **more: Any) -> dict[str, Any]:
    return {**WISH, "width": size, "height": size, **more}


def expected_wait_ms(gateway: httpx.Client, size: int) -> float:
    wish = {"latency_budget_ms": 5000, "width": size, "height": size}
    return float(gateway.post("/plan", json=wish).json()["expected_wait_ms"])


@pytest.fixture
def pair(store_url: str, queue_settings: QueueSettings) -> Iterator[tuple[FakeWorker, FakeWorker]]:
    """Yield a worker for small and one for large pictures, which take it ten times as long."""
    book = a_book(size=LARGE)
    card = a_card("large", width=LARGE, height=LARGE, book=book.digest, costs=costs(step_ms=100.0))
    with (
        FakeWorker(store_url, queue_settings, a_card("small")) as small,
        FakeWorker(store_url, queue_settings, card, book) as large,
    ):
        yield small, large


def test_each_worker_makes_only_pictures_of_its_own_size(
    gateway: httpx.Client, pair: tuple[FakeWorker, FakeWorker]
) -> None:
    wishes = [sized(size) for size in (SMALL, LARGE) * 12]
    with ThreadPoolExecutor(4) as callers:
        answers = list(callers.map(lambda wish: gateway.post("/generate", json=wish), wishes))

    assert {answer.status_code for answer in answers} == {200}
    sizes = [{(job.width, job.height) for job in worker.claimed} for worker in pair]
    assert sizes == [{(SMALL, SMALL)}, {(LARGE, LARGE)}]


def test_who_waits_for_one_size_keeps_nobody_of_the_other_waiting(
    gateway: httpx.Client, pair: tuple[FakeWorker, FakeWorker]
) -> None:
    _, large = pair
    large.gate.clear()
    for _ in range(4):
        gateway.post("/jobs", json=sized(LARGE))
    assert large.holding.wait(30)

    waits = [expected_wait_ms(gateway, size) for size in (SMALL, LARGE)]
    assert waits[0] == 0 < waits[1]
    assert gateway.post("/generate", json=sized(SMALL, latency_budget_ms=200)).status_code == 200


def test_both_sizes_are_on_offer_each_with_its_worker_and_plans(
    gateway: httpx.Client, pair: tuple[FakeWorker, FakeWorker]
) -> None:
    (model,) = gateway.get("/models").json()["models"]
    small, large = gateway.get("/plans").json()["frontiers"]

    assert (model["sizes"], model["workers"]) == (["64x64", "128x128"], 2)
    assert (small["width"], small["workers"]) == (SMALL, 1)
    assert (large["width"], large["workers"]) == (LARGE, 1)
    assert large["minimum_latency_ms"] > small["minimum_latency_ms"]


def test_what_waits_is_told_and_measured_by_size(
    gateway: httpx.Client, pair: tuple[FakeWorker, FakeWorker]
) -> None:
    _, large = pair
    large.gate.clear()
    for _ in range(3):
        gateway.post("/jobs", json=sized(LARGE))
    wait_until(large.holding.is_set)

    (waiting,) = gateway.get("/status").json()["queue"]
    assert (waiting["width"], waiting["height"], waiting["jobs"]) == (LARGE, LARGE, 2)
    metrics = gateway.get("/metrics").text
    assert 'queue_depth{model="emoji",size="128x128"} 2.0' in metrics
    assert 'queue_depth{model="emoji",size="64x64"} 0.0' in metrics
