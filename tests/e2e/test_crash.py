"""A worker that is killed loses nothing, and nobody gets two answers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import redis

from app.contract.keys import Keys
from tests.e2e.processes import service
from tests.integration.gateways import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

JOBS = 50


def submit(client: httpx.Client, seed: int) -> str:
    body = {"prompt": "red apple", "latency_budget_ms": 600_000, "seed": seed}
    response = client.post("/generate", json=body, headers={"Prefer": "respond-async"})
    assert response.status_code == 202, response.text
    location: str = response.headers["Location"]
    return location


def states(client: httpx.Client, jobs: list[str]) -> Counter[str]:
    return Counter(client.get(job).json()["state"] for job in jobs)


def announcements(pubsub: Any) -> Counter[bytes]:
    heard: Counter[bytes] = Counter()
    while message := pubsub.get_message(timeout=0.1):
        if message["type"] == "message":
            heard[message["data"]] += 1
    return heard


@pytest.mark.timeout(300)
def test_every_job_is_answered_once_though_its_worker_was_killed(tmp_path: Path) -> None:
    with service(tmp_path) as running, running.http() as client:
        store = redis.Redis.from_url(running.store_url)
        pubsub = store.pubsub()
        pubsub.subscribe(Keys().over)
        jobs = [submit(client, seed) for seed in range(JOBS)]
        wait_until(lambda: states(client, jobs)["done"] >= 2, 60)
        running.worker.kill()
        with running.another_worker():
            wait_until(lambda: states(client, jobs)["done"] == JOBS, 240)
        heard = announcements(pubsub)
        pubsub.close()
        store.close()

    assert len(heard) == JOBS
    assert set(heard.values()) == {1}
