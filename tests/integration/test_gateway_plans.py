"""Plans, models, health and metrics of a running gateway."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.contract.connection import connect
from app.contract.keys import Keys
from app.settings import Settings
from tests.builders import a_book, a_card
from tests.integration.fake_worker import FakeWorker
from tests.integration.gateways import running_gateway, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.settings import QueueSettings

WISH: dict[str, Any] = {"prompt": "a cat", "latency_budget_ms": 5000}


def test_a_plan_is_told_with_what_was_passed_over(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    full_ms = gateway.get("/plans").json()["frontiers"][0]["plans"][-1]["p95_ms"]
    answer = gateway.post("/plan", json={"latency_budget_ms": full_ms})

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["picked"]["p95_ms"] + body["overhead_ms"] <= full_ms
    assert body["next_better"]["quality"]["value"] > body["picked"]["quality"]["value"]
    assert body["minimum_latency_ms"] <= full_ms
    assert [p["name"] for p in body["runners_up"]]


def test_the_plan_that_was_told_is_the_plan_that_runs(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    told = gateway.post("/plan", json={"latency_budget_ms": 100}).json()["picked"]
    ran = gateway.post("/generate", json={**WISH, "latency_budget_ms": 100}).json()["plan"]

    assert (told["solver"], told["steps"], told["schedule"]) == (
        ran["solver"],
        ran["steps"],
        ran["schedule"],
    )


def test_a_plan_for_too_small_a_budget_is_refused_alike(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    answer = gateway.post("/plan", json={"latency_budget_ms": 1})

    assert answer.status_code == 422
    assert answer.json()["minimum_latency_ms"] > 1


def test_plans_are_listed_cheapest_first(gateway: httpx.Client, worker: FakeWorker) -> None:
    frontier = gateway.get("/plans").json()["frontiers"][0]

    assert (frontier["model"], frontier["width"], frontier["workers"]) == ("emoji", 64, 1)
    prices = [plan["predicted_ms"] for plan in frontier["plans"]]
    qualities = [plan["quality"]["value"] for plan in frontier["plans"]]
    assert prices == sorted(prices)
    assert qualities == sorted(qualities)


def test_models_tell_their_sizes(gateway: httpx.Client, worker: FakeWorker) -> None:
    (model,) = gateway.get("/models").json()["models"]

    assert (model["id"], model["sizes"], model["workers"]) == ("emoji", ["64x64"], 1)


def test_each_model_has_its_own_plans_and_workers(
    gateway: httpx.Client, worker: FakeWorker, store_url: str, queue_settings: QueueSettings
) -> None:
    book = a_book("other")
    card = a_card("worker-2", model="other", book=book.digest)
    with FakeWorker(store_url, queue_settings, card, book) as another:
        made = gateway.post("/generate", json={**WISH, "model": "other"}).json()
        listed = gateway.get("/models").json()["models"]
        frontiers = gateway.get("/plans").json()["frontiers"]

    assert (made["model"], made["worker"]) == ("other", "worker-2")
    assert (len(another.claimed), worker.claimed) == (1, [])
    assert [(model["id"], model["workers"]) for model in listed] == [("emoji", 1), ("other", 1)]
    assert [frontier["model"] for frontier in frontiers] == ["emoji", "other"]


def test_an_empty_fleet_offers_nothing(gateway: httpx.Client) -> None:
    assert gateway.get("/plans").json() == {"frontiers": []}
    assert gateway.get("/models").json() == {"models": []}


def test_readiness_needs_a_ready_worker(
    gateway: httpx.Client, store_url: str, queue_settings: QueueSettings
) -> None:
    before = gateway.get("/readyz")
    with FakeWorker(store_url, queue_settings):
        wait_until(lambda: gateway.get("/readyz").status_code == 200)

    assert before.status_code == 503
    assert "no worker" in before.json()["detail"]
    assert gateway.get("/healthz").json()["status"] == "ok"


def test_a_store_that_does_not_answer_is_told_apart(
    tmp_path: Path, queue_settings: QueueSettings
) -> None:
    settings = Settings(store_url=f"unix://{tmp_path}/nobody", port=0)
    with (
        running_gateway(settings, queue_settings) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        ready = client.get("/readyz")
        made = client.post("/generate", json=WISH)
        alive = client.get("/healthz")
        metrics = client.get("/metrics")

    assert (ready.status_code, made.status_code, alive.status_code) == (503, 503, 200)
    assert ready.json()["type"].endswith("store-unavailable")
    assert "blockcache_store_up 0.0" in metrics.text


def value(metrics: str, name: str) -> float:
    found = [line for line in metrics.splitlines() if line.startswith(f"blockcache_{name} ")]
    assert found, f"no {name} in\n{metrics}"
    return float(found[0].rsplit(" ", 1)[1])


def test_metrics_count_what_happened(gateway: httpx.Client, worker: FakeWorker) -> None:
    gateway.post("/generate", json=WISH)
    gateway.post("/generate", json={**WISH, "latency_budget_ms": 1})
    gateway.get("/nowhere/secret-path")

    text = gateway.get("/metrics").text

    assert value(text, 'budget_requests_total{met="true",model="emoji"}') == 1
    assert value(text, 'jobs_total{outcome="done"}') == 1
    assert value(text, 'jobs_total{outcome="refused"}') == 1
    assert value(text, 'plans_total{model="emoji",plan="dpmpp_2m-8-full"}') == 1
    assert value(text, 'budget_used_ratio_count{model="emoji"}') == 1
    assert value(text, 'plan_error_ratio_count{model="emoji"}') == 1
    assert value(text, 'queue_wait_seconds_sum{model="emoji"}') == 0.001
    assert value(text, 'replans_total{model="emoji"}') == 0
    assert value(text, 'request_duration_seconds_count{route="/generate",status="200"}') == 1
    assert value(text, 'request_duration_seconds_count{route="unmatched",status="404"}') == 1
    assert "secret-path" not in text


def test_a_sleeping_model_of_this_service_is_asked_for_later_and_counted(
    settings: Settings, queue_settings: QueueSettings, worker: FakeWorker
) -> None:
    settings = replace(settings, models=("emoji", "sleeper"))
    with (
        running_gateway(settings, queue_settings) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        asleep = client.post("/generate", json={**WISH, "model": "sleeper"})
        unknown = client.post("/generate", json={**WISH, "model": "stranger"})
        text = client.get("/metrics").text

    assert (asleep.status_code, unknown.status_code) == (503, 422)
    assert "Retry-After" in asleep.headers
    assert value(text, 'unserved_requests_total{model="sleeper"}') == 1
    assert value(text, 'unserved_requests_total{model="emoji"}') == 0
    assert "stranger" not in text


def test_with_all_models_asleep_the_first_one_is_wanted(
    settings: Settings, queue_settings: QueueSettings
) -> None:
    settings = replace(settings, models=("emoji", "sleeper"))
    with (
        running_gateway(settings, queue_settings) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        client.post("/generate", json=WISH)
        text = client.get("/metrics").text

    assert value(text, 'unserved_requests_total{model="emoji"}') == 1


def test_metrics_show_how_full_the_store_is(gateway: httpx.Client) -> None:
    text = gateway.get("/metrics").text

    assert value(text, "store_memory_bytes") > 0
    assert value(text, "store_memory_limit_bytes") >= 0


def test_metrics_show_the_queue_as_it_is_now(gateway: httpx.Client, worker: FakeWorker) -> None:
    worker.gate.clear()
    for _ in range(3):
        gateway.post("/generate", json=WISH, headers={"Prefer": "respond-async"})
    assert worker.holding.wait(30)
    loaded = gateway.get("/metrics").text
    worker.gate.set()
    wait_until(
        lambda: value(gateway.get("/metrics").text, 'queue_depth{model="emoji",size="64x64"}') == 0
    )

    assert value(loaded, 'queue_depth{model="emoji",size="64x64"}') == 2
    assert value(loaded, 'queue_work_seconds{model="emoji",size="64x64"}') > 0
    assert value(loaded, 'worker_up{model="emoji",size="64x64",worker="worker-1"}') == 1
    assert value(loaded, "dead_letters") == 0


def test_jobs_nobody_waits_for_are_counted_too(gateway: httpx.Client, worker: FakeWorker) -> None:
    gateway.post("/generate", json=WISH, headers={"Prefer": "respond-async"})

    wait_until(lambda: value(gateway.get("/metrics").text, 'jobs_total{outcome="done"}') == 1)


def test_prometheus_finds_nothing_to_complain_about(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    gateway.post("/generate", json=WISH)
    text = gateway.get("/metrics").content

    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )

    assert (checked.returncode, checked.stderr.decode(), checked.stdout.decode()) == (0, "", "")


def test_the_interface_description_is_served(gateway: httpx.Client) -> None:
    paths = gateway.get("/openapi.json").json()["paths"]

    assert {"/generate", "/jobs/{job_id}", "/plan", "/plans", "/models"} <= paths.keys()


def test_who_was_refused_for_others_is_expected_again_and_who_only_asked_is_not(
    gateway: httpx.Client, worker: FakeWorker, store_url: str, queue_settings: QueueSettings
) -> None:
    worker.card = worker.card.copy(busy_until_unix_ms=2**50)
    worker.publish()
    wish = {"latency_budget_ms": 1000}

    asked = gateway.post("/plan", json=wish)
    refused = gateway.post("/generate", json={**wish, "prompt": "a cat"})

    assert (asked.status_code, refused.status_code) == (503, 503)
    with connect(store_url) as store:
        key = Keys(queue_settings.prefix).arrivals(worker.card.lane.name)
        (arrival,) = store.lrange(key, 0, -1)
    assert arrival.endswith(b":1:1000.0:1")


def test_a_worker_that_joins_or_leaves_changes_what_is_promised_at_once(
    gateway: httpx.Client, worker: FakeWorker, store_url: str, queue_settings: QueueSettings
) -> None:
    worker.card = worker.card.copy(busy_until_unix_ms=2**50)
    worker.publish()
    asked = {"latency_budget_ms": 1000}

    alone = gateway.post("/plan", json=asked)
    with FakeWorker(store_url, queue_settings, a_card("worker-2")):
        joined = gateway.post("/plan", json=asked)
    left = gateway.post("/plan", json=asked)

    assert [answer.status_code for answer in (alone, joined, left)] == [503, 200, 503]
    assert joined.json()["expected_wait_ms"] == 0
