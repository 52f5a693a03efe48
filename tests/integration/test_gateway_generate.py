"""POST /generate on a real gateway, store and queue."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from app.contract.jobs import Reason
from app.contract.settings import QueueSettings
from app.schemas import GenerateResponse
from app.settings import Settings
from tests.builders import a_book, a_card
from tests.integration.fake_worker import FakeWorker, a_png
from tests.integration.gateways import running_gateway, wait_until

WISH: dict[str, Any] = {"prompt": "a smiling cat", "latency_budget_ms": 5000, "seed": 7}
PROBLEM = "application/problem+json"


def test_the_answer_says_what_was_made_and_what_it_took(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    answer = gateway.post("/generate", json=WISH)

    assert answer.status_code == 200, answer.text
    body = answer.json()
    parts = "id created model images plan timing budget cache batch_size worker"
    assert set(body) == set(parts.split())
    assert body["model"] == "emoji"
    assert base64.b64decode(body["images"][0]["b64_json"]) == a_png(7)
    assert body["plan"]["quality"] == {"metric": "psnr", "value": 1.0}
    assert body["budget"] == {"requested_ms": 5000, "met": True}
    assert body["worker"] == worker.card.worker
    assert answer.headers["server-timing"].startswith("queue;dur=1.0, encode;dur=2.0")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_the_short_way_and_the_long_way_give_the_same_answer(
    gateway: httpx.Client, worker: FakeWorker, content_type: str
) -> None:
    headers = {"Content-Type": content_type, "X-Request-Id": "mine"}
    answer = gateway.post("/generate", content=json.dumps(WISH), headers=headers)

    assert answer.status_code == 200, answer.text
    assert GenerateResponse.model_validate_json(answer.content).images[0].seed == 7
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["content-type"] == "application/json"
    told = gateway.get("/metrics").text
    assert 'blockcache_request_duration_seconds_count{route="/generate",status="200"}' in told


def test_every_picture_has_its_own_seed_and_address(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    images = gateway.post("/generate", json={**WISH, "num_images": 3}).json()["images"]

    assert [image["seed"] for image in images] == [7, 8, 9]
    fetched = [gateway.get(image["url"]).content for image in images]
    assert fetched == [a_png(7), a_png(8), a_png(9)]


def test_without_a_seed_one_is_drawn_and_told(gateway: httpx.Client, worker: FakeWorker) -> None:
    wish = {"prompt": "a cat", "latency_budget_ms": 5000}
    seeds = {gateway.post("/generate", json=wish).json()["images"][0]["seed"] for _ in range(3)}

    assert len(seeds) == 3


def test_a_picture_is_sent_as_it_is_when_png_is_accepted(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    answer = gateway.post("/generate", json=WISH, headers={"Accept": "image/png"})

    assert answer.headers["content-type"] == "image/png"
    assert answer.content == a_png(7)
    assert answer.headers["x-blockcache-plan"] == "dpmpp_2m-8-full"
    assert answer.headers["x-blockcache-budget-met"] == "true"
    assert "total;dur=" in answer.headers["server-timing"]
    assert gateway.get(f"/jobs/{answer.headers['x-job-id']}").json()["state"] == "done"


def test_with_url_only_addresses_are_sent(gateway: httpx.Client, worker: FakeWorker) -> None:
    body = gateway.post("/generate", json={**WISH, "response_format": "url"}).json()

    assert body["images"][0]["b64_json"] is None
    assert gateway.get(body["images"][0]["url"]).content == a_png(7)


def test_a_small_budget_buys_a_cheaper_plan_of_less_quality(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    frontier = gateway.get("/plans").json()["frontiers"][0]
    small_ms = frontier["minimum_latency_ms"] + 5

    rich = gateway.post("/generate", json=WISH).json()["plan"]
    poor = gateway.post("/generate", json={**WISH, "latency_budget_ms": small_ms}).json()["plan"]

    assert poor["predicted_ms"] < rich["predicted_ms"]
    assert poor["quality"]["value"] < rich["quality"]["value"]


def test_a_budget_below_the_fastest_plan_is_told_the_smallest_that_would_do(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    answer = gateway.post("/generate", json={**WISH, "latency_budget_ms": 3})

    assert answer.status_code == 422
    assert answer.headers["content-type"] == PROBLEM
    minimum_ms = answer.json()["minimum_latency_ms"]
    again = gateway.post("/generate", json={**WISH, "latency_budget_ms": minimum_ms + 5})
    assert again.status_code == 200, again.text


def test_a_quality_floor_above_the_book_names_the_best(store_url: str, settings: Settings,
    queue_settings: QueueSettings) -> None:  # fmt: skip
    modest = a_book().with_plans([p for p in a_book().plans if p.quality.value < 1])
    card = a_card(book=modest.digest)
    with (
        running_gateway(settings, queue_settings) as url,
        FakeWorker(store_url, queue_settings, card, modest),
    ):
        answer = httpx.post(f"{url}/generate", json={**WISH, "min_quality": 0.95})

    assert answer.status_code == 422
    assert answer.json()["best_quality"] == 0.9


def test_a_quality_floor_refuses_a_plan_below_it(gateway: httpx.Client, worker: FakeWorker) -> None:
    small_ms = gateway.get("/plans").json()["frontiers"][0]["minimum_latency_ms"] + 5
    wish = {**WISH, "latency_budget_ms": small_ms, "min_quality": 0.9}

    answer = gateway.post("/generate", json=wish)

    assert answer.status_code == 422
    assert answer.json()["minimum_latency_ms"] > small_ms


def test_a_queue_in_the_way_is_a_503_that_says_when_to_come_back(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    worker.card = worker.card.copy(busy_until_unix_ms=2**50)
    worker.publish()

    answer = gateway.post("/generate", json={**WISH, "latency_budget_ms": 1000})

    assert answer.status_code == 503
    assert answer.json()["type"].endswith("#temporary-reduced-capacity")
    assert int(answer.headers["retry-after"]) > 1
    assert answer.json()["minimum_latency_ms"] > 1000


def test_without_a_worker_the_answer_says_so(gateway: httpx.Client) -> None:
    answer = gateway.post("/generate", json=WISH)

    assert answer.status_code == 503
    assert "No worker" in answer.json()["detail"]
    assert answer.headers["retry-after"]


def test_a_worker_that_is_not_ready_does_not_count(
    gateway: httpx.Client, store_url: str, queue_settings: QueueSettings
) -> None:
    with FakeWorker(store_url, queue_settings, a_card(ready=False)):
        assert gateway.post("/generate", json=WISH).status_code == 503
        assert gateway.get("/readyz").status_code == 503


def test_a_full_queue_is_a_503(store_url: str, prefix: str, settings: Settings) -> None:
    small = QueueSettings(prefix=prefix, max_jobs=1)
    with (
        running_gateway(settings, small) as url,
        FakeWorker(store_url, small) as worker,
        httpx.Client(base_url=url) as client,
    ):
        worker.gate.clear()
        later = {"Prefer": "respond-async"}
        client.post("/generate", json=WISH, headers=later)
        assert worker.holding.wait(30)
        assert client.post("/generate", json=WISH, headers=later).status_code == 202
        answer = client.post("/generate", json=WISH, headers=later)

    assert answer.status_code == 503
    assert answer.headers["retry-after"]


def test_a_late_picture_is_still_delivered_and_called_late(
    store_url: str, queue_settings: QueueSettings
) -> None:
    settings = Settings(store_url=store_url, port=0, grace_ms=20_000)
    with (
        running_gateway(settings, queue_settings) as url,
        FakeWorker(store_url, queue_settings) as worker,
    ):
        worker.delay_s = 0.4
        answer = httpx.post(f"{url}/generate", json={**WISH, "latency_budget_ms": 200}, timeout=30)

    assert answer.status_code == 200
    assert answer.json()["budget"] == {"requested_ms": 200, "met": False}


def test_beyond_the_grace_the_job_is_cancelled_and_no_client_retries(
    store_url: str, queue_settings: QueueSettings
) -> None:
    settings = Settings(store_url=store_url, port=0, grace_ms=100)
    with (
        running_gateway(settings, queue_settings) as url,
        FakeWorker(store_url, queue_settings) as worker,
    ):
        worker.gate.clear()
        answer = httpx.post(f"{url}/generate", json={**WISH, "latency_budget_ms": 200}, timeout=30)
        wait_until(lambda: bool(worker.cancelled))

    assert answer.status_code == 504
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("reason", "status"), [(Reason.ERROR, 500), (Reason.DEAD, 500), (Reason.DEADLINE, 504)]
)
def test_a_failed_job_is_a_problem_that_says_why(
    gateway: httpx.Client,
    store_url: str,
    queue_settings: QueueSettings,
    reason: Reason,
    status: int,
) -> None:
    with FakeWorker(store_url, queue_settings, failing=reason):
        answer = gateway.post("/generate", json=WISH)

    assert answer.status_code == status
    assert answer.headers["x-should-retry"] == "false"
    assert "it went wrong" in answer.json()["detail"]


def test_a_client_that_names_its_patience_gets_most_of_it_as_budget(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    hint = {"x-stainless-read-timeout": "4"}

    body = gateway.post("/generate", json={"prompt": "a cat"}, headers=hint).json()

    assert body["budget"]["requested_ms"] == 3600


def test_without_any_hint_the_default_budget_holds(
    gateway: httpx.Client, worker: FakeWorker, settings: Settings
) -> None:
    body = gateway.post("/generate", json={"prompt": "a cat"}).json()

    assert body["budget"]["requested_ms"] == settings.default_budget_ms


def test_a_disconnected_caller_cancels_the_job(gateway: httpx.Client, worker: FakeWorker) -> None:
    worker.gate.clear()
    with pytest.raises(httpx.ReadTimeout):
        gateway.post("/generate", json=WISH, timeout=0.5)

    wait_until(lambda: bool(worker.cancelled))
    assert gateway.get(f"/jobs/{worker.cancelled[0]}").json()["state"] == "cancelled"


BEGINNINGS = {"png": b"\x89PNG", "jpeg": b"\xff\xd8\xff", "webp": b"RIFF"}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_a_picture_comes_in_the_format_that_was_asked_for(
    gateway: httpx.Client, worker: FakeWorker, name: str
) -> None:
    image = gateway.post("/generate", json={**WISH, "output_format": name}).json()["images"][0]
    fetched = gateway.get(image["url"])

    assert base64.b64decode(image["b64_json"]).startswith(BEGINNINGS[name])
    assert fetched.content.startswith(BEGINNINGS[name])
    assert fetched.headers["content-type"] == f"image/{name}"


@pytest.mark.parametrize("name", BEGINNINGS)
def test_the_accept_header_names_a_format_too(
    gateway: httpx.Client, worker: FakeWorker, name: str
) -> None:
    answer = gateway.post("/generate", json=WISH, headers={"Accept": f"image/{name}"})

    assert answer.headers["content-type"] == f"image/{name}"
    assert answer.content.startswith(BEGINNINGS[name])


def test_any_picture_is_of_the_format_in_the_body(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    wish = {**WISH, "output_format": "webp", "output_quality": 30}
    any_image, another = ({"Accept": kind} for kind in ("image/*", "image/png"))

    assert gateway.post("/generate", json=wish, headers=any_image).content.startswith(b"RIFF")
    assert gateway.post("/generate", json=wish, headers=another).status_code == 406
