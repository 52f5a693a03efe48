"""A store without memory, or set up to lose jobs, as callers and operators meet it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.contract.connection import connect
from app.contract.errors import StoreForgets
from app.serve import bind, serve
from tests.integration.gateways import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis

    from app.settings import Settings
    from tests.integration.fake_worker import FakeWorker

WISH: dict[str, Any] = {"prompt": "a cat", "latency_budget_ms": 5000, "seed": 3}


@pytest.fixture
def store(store_url: str) -> Iterator[redis.Redis]:
    """Yield the client of a server whose memory limits a test may change."""
    with connect(store_url) as client:
        yield client
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize("path", ["/generate", "/jobs", "/v1/images/generations"])
def test_a_full_store_is_a_503_that_says_so(
    gateway: httpx.Client, worker: FakeWorker, store: redis.Redis, path: str
) -> None:
    wish = {"prompt": "a cat"} if path.startswith("/v1") else WISH
    store.config_set("maxmemory", 1)
    answer = gateway.post(path, json=wish)

    assert answer.status_code == 503
    assert "out of memory: raise its maxmemory" in answer.text
    assert answer.headers["retry-after"]


def test_what_was_accepted_before_the_store_was_full_is_answered(
    gateway: httpx.Client, worker: FakeWorker, store: redis.Redis
) -> None:
    worker.gate.clear()
    location = gateway.post("/jobs", json=WISH).headers["location"]
    assert worker.holding.wait(30)
    store.config_set("maxmemory", 1)
    worker.gate.set()

    wait_until(lambda: gateway.get(location).json()["state"] == "done")


def test_a_gateway_does_not_start_before_a_store_that_evicts(
    store_url: str, store: redis.Redis
) -> None:
    store.config_set("maxmemory", 10**9)
    store.config_set("maxmemory-policy", "volatile-lru")
    command = (sys.executable, "-m", "app.cli", "gateway", "--port", "0", "--store-url", store_url)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("Error: the store may evict accepted jobs")


def test_a_gateway_stops_when_the_store_that_was_away_is_one_that_evicts(
    settings: Settings, store_url: str, store: redis.Redis, tmp_path: Path
) -> None:
    store.config_set("maxmemory", 10**9)
    store.config_set("maxmemory-policy", "volatile-lru")
    place = tmp_path / "store"
    away = replace(settings, store_url=f"unix://{place}")
    with bind("127.0.0.1", 0) as bound, ThreadPoolExecutor(1) as elsewhere:
        serving = elsewhere.submit(asyncio.run, serve(away, bound, seen=False))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        wait_until(lambda: answers(url))
        place.symlink_to(store_url.removeprefix("unix://"))

        with pytest.raises(StoreForgets, match="may evict accepted jobs"):
            serving.result(60)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False
