"""POST /comparisons: one prompt and seed by several plans, all or none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.keys import new_key
from tests.integration.gateways import running_gateway, wait_until

if TYPE_CHECKING:
    from app.contract.settings import QueueSettings
    from app.settings import Settings
    from tests.integration.fake_worker import FakeWorker

WISH: dict[str, Any] = {"prompt": "a cat", "latency_budget_ms": 80}


def result_of(gateway: httpx.Client, location: str) -> dict[str, Any]:
    wait_until(lambda: gateway.get(location).json()["state"] == "done")
    result: dict[str, Any] = gateway.get(location).json()["result"]
    return result


def test_a_comparison_is_four_jobs_of_one_seed(gateway: httpx.Client, worker: FakeWorker) -> None:
    answer = gateway.post("/comparisons", json=WISH)
    found = answer.json()

    assert answer.status_code == 202
    assert [job["method"] for job in found["jobs"]] == [
        "cached", "fewer-steps", "naive", "uncached",
    ]  # fmt: skip
    for job in found["jobs"]:
        result = result_of(gateway, job["location"])
        assert result["images"][0]["seed"] == found["seed"]
        assert result["plan"]["schedule"] == job["plan"]["schedule"]
        assert len(job["table"]["work"]) == result["plan"]["steps"] == job["plan"]["steps"]


def test_each_picture_is_made_alone_by_its_own_plan(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    for job in gateway.post("/comparisons", json=WISH).json()["jobs"]:
        result_of(gateway, job["location"])

    assert all(job.exact for job in worker.claimed)
    plans = {job.plan for job in worker.claimed}
    assert len({job.batch_class for job in worker.claimed}) == len(plans) > 1


def test_the_cached_plan_is_what_the_budget_buys(gateway: httpx.Client, worker: FakeWorker) -> None:
    budget = {"latency_budget_ms": WISH["latency_budget_ms"]}
    picked = gateway.post("/plan", json=budget).json()["picked"]
    cached, fewer, naive, _ = gateway.post("/comparisons", json=WISH).json()["jobs"]

    assert cached["plan"] == picked
    for other in (fewer, naive):
        assert other["plan"]["predicted_ms"] <= picked["predicted_ms"]


@pytest.mark.parametrize(
    "wrong", [{"num_images": 2}, {"prompt": " "}, {"latency_budget_ms": 1}, {"plan": "x"}]
)
def test_what_cannot_be_compared_is_refused(
    gateway: httpx.Client, worker: FakeWorker, wrong: dict[str, Any]
) -> None:
    answer = gateway.post("/comparisons", json={**WISH, **wrong})

    assert answer.status_code == 422
    assert gateway.get("/status").json()["queue"] == []


def test_a_comparison_that_exceeds_a_key_leaves_nothing_behind(
    settings: Settings, queue_settings: QueueSettings, worker: FakeWorker
) -> None:
    secret, key = new_key("alice", concurrent_jobs=3)
    worker.gate.clear()
    with (
        running_gateway(replace(settings, keys=(key,)), queue_settings) as url,
        httpx.Client(base_url=url, headers={"X-API-Key": secret}, timeout=30) as client,
    ):
        answer = client.post("/comparisons", json={**WISH, "latency_budget_ms": 5000})
        wait_until(lambda: client.get("/status").json()["queue"] == [])

    assert answer.status_code == 429
    wait_until(lambda: not worker.holding.is_set())
