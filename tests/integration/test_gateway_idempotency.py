"""The same request twice is one job; a caller may wait for a while and go on by itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.integration.fake_worker import FakeWorker, a_png
from tests.integration.gateways import running_gateway, wait_until

if TYPE_CHECKING:
    from app.contract.settings import QueueSettings
    from app.settings import Settings

WISH: dict[str, Any] = {"prompt": "a cat", "latency_budget_ms": 5000}
ONCE = {"Idempotency-Key": "order-1"}


def waiting(seconds: int) -> dict[str, str]:
    return {"Prefer": f"respond-async, wait={seconds}"}


def state(gateway: httpx.Client, location: str) -> str:
    return str(gateway.get(location).json()["state"])


def test_a_repeated_request_gets_the_same_answer(gateway: httpx.Client, worker: FakeWorker) -> None:
    first = gateway.post("/generate", json=WISH, headers=ONCE)
    again = gateway.post("/generate", json=dict(reversed(WISH.items())), headers=ONCE)

    assert again.status_code == 200
    assert again.json() == first.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


def test_a_key_in_quotes_is_the_same_key(gateway: httpx.Client, worker: FakeWorker) -> None:
    quoted = {"Idempotency-Key": '"order-1"'}
    answers = [gateway.post("/jobs", json=WISH, headers=key) for key in (ONCE, quoted)]

    assert answers[0].headers["location"] == answers[1].headers["location"]


def test_another_body_with_the_same_key_is_refused(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    gateway.post("/generate", json=WISH, headers=ONCE)

    answer = gateway.post("/generate", json={**WISH, "prompt": "a dog"}, headers=ONCE)

    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:blockcache:problem:idempotency-key-reused"


def test_requests_that_race_on_two_gateways_are_one_job(
    gateway: httpx.Client, worker: FakeWorker, settings: Settings, queue_settings: QueueSettings
) -> None:
    with running_gateway(settings, queue_settings) as url, ThreadPoolExecutor(6) as pool:
        urls = [f"{base}/jobs" for base in (str(gateway.base_url), url)] * 3
        found = pool.map(lambda url: httpx.post(url, json=WISH, headers=ONCE), urls)
        locations = {answer.headers["location"] for answer in found}

    assert len(locations) == 1


def test_a_caller_that_was_cut_off_comes_back_to_its_job(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    worker.gate.clear()
    with pytest.raises(httpx.ReadTimeout):
        gateway.post("/generate", json={**WISH, "seed": 3}, headers=ONCE, timeout=0.4)
    worker.gate.set()

    answer = gateway.post(
        "/generate", json={**WISH, "seed": 3}, headers={**ONCE, "Accept": "image/png"}
    )

    assert answer.content == a_png(3)
    assert answer.headers["idempotent-replayed"] == "true"
    assert not worker.cancelled


def test_a_refused_request_may_be_repeated_otherwise(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    refused = gateway.post("/generate", json={**WISH, "latency_budget_ms": 1}, headers=ONCE)
    answer = gateway.post("/generate", json=WISH, headers=ONCE)

    assert (refused.status_code, answer.status_code) == (422, 200)


@pytest.mark.parametrize("key", [b"x" * 256, b"a\tb", b'""', "é".encode()])
def test_a_key_that_is_none_is_refused(
    gateway: httpx.Client, worker: FakeWorker, key: bytes
) -> None:
    answer = gateway.post("/generate", json=WISH, headers={b"Idempotency-Key": key})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


def test_a_repeated_request_is_counted_once(gateway: httpx.Client, worker: FakeWorker) -> None:
    for _ in range(3):
        gateway.post("/generate", json=WISH, headers=ONCE)

    assert 'blockcache_jobs_total{outcome="done"} 1.0' in gateway.get("/metrics").text


def test_a_job_is_handed_in_at_an_address_of_its_own(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    worker.gate.clear()
    answer = gateway.post("/jobs", json=WISH)

    assert answer.status_code == 202
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"


def test_a_caller_that_waits_a_while_gets_the_answer_if_it_is_there(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    answer = gateway.post("/generate", json={**WISH, "seed": 7}, headers=waiting(5))

    assert answer.status_code == 200
    assert answer.json()["images"][0]["b64_json"]


def test_a_caller_that_waited_long_enough_gets_the_address(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    worker.gate.clear()
    answer = gateway.post("/generate", json=WISH, headers=waiting(1))
    worker.gate.set()

    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async, wait=1"
    wait_until(lambda: state(gateway, answer.headers["location"]) == "done")


def test_a_job_that_was_waited_for_a_while_is_counted_once(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    gateway.post("/generate", json=WISH, headers=waiting(5))

    done = 'blockcache_jobs_total{outcome="done"} 1.0'
    wait_until(lambda: done in gateway.get("/metrics").text)
