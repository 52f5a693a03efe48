"""Webhooks of a real gateway: signed, repeated, kept by the store, never into private networks."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from standardwebhooks import Webhook

from app.contract.jobs import Reason
from tests.integration.gateways import running_gateway, wait_until
from tests.integration.webhook_receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.settings import QueueSettings
    from app.settings import Settings
    from tests.integration.fake_worker import FakeWorker

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="  # noqa: S105 of these tests
WISH: dict[str, Any] = {"prompt": "a cat", "latency_budget_ms": 5000, "seed": 3}
LATER = {"Prefer": "respond-async"}


@pytest.fixture
def on(settings: Settings) -> Settings:
    return replace(settings, webhook_secret=SECRET, webhook_networks=("127.0.0.0/8",))


@contextmanager
def a_gateway(settings: Settings, queue_settings: QueueSettings) -> Iterator[httpx.Client]:
    with (
        running_gateway(settings, queue_settings) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client


def submit(client: httpx.Client, url: str, **headers: str) -> str:
    answer = client.post("/jobs", json={**WISH, "webhook_url": url}, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"])


def counted(client: httpx.Client, outcome: str) -> float:
    name = f'blockcache_webhook_deliveries_total{{outcome="{outcome}"}} '
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name)]
    return float(lines[0].split()[-1]) if lines else 0.0


def test_the_end_of_a_job_is_told_signed_with_the_body_of_its_address(
    on: Settings, queue_settings: QueueSettings, worker: FakeWorker
) -> None:
    with Receiver() as receiver, a_gateway(on, queue_settings) as client:
        location = submit(client, receiver.url)
        wait_until(lambda: counted(client, "delivered") == 1)
        told = client.get(location).json()

    (received,) = receiver.received
    assert Webhook(SECRET).verify(received.body, received.headers) == told
    assert (told["state"], told["result"]["images"][0]["b64_json"]) == ("done", None)
    assert received.path == "/hook?for=us"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["host"] == receiver.url.split("/")[2]


@pytest.mark.parametrize("path", ["/jobs", "/generate"])
def test_either_way_not_to_wait_may_name_a_webhook(
    on: Settings, queue_settings: QueueSettings, worker: FakeWorker, path: str
) -> None:
    with Receiver() as receiver, a_gateway(on, queue_settings) as client:
        client.post(path, json={**WISH, "webhook_url": receiver.url}, headers=LATER)
        wait_until(lambda: bool(receiver.received))


def test_a_failed_and_a_cancelled_job_are_told_too(
    on: Settings, queue_settings: QueueSettings, worker: FakeWorker
) -> None:
    worker.gate.clear()
    with Receiver() as receiver, a_gateway(on, queue_settings) as client:
        client.delete(submit(client, receiver.url))
        worker.gate.set()
        wait_until(lambda: len(receiver.received) == 1)
        worker.failing = Reason.ERROR
        submit(client, receiver.url)
        wait_until(lambda: len(receiver.received) == 2)

    bodies = [json.loads(received.body) for received in receiver.received]
    assert [body["state"] for body in bodies] == ["cancelled", "failed"]
    assert bodies[1]["failure"]["detail"] == "it went wrong"


def test_what_was_not_taken_is_repeated_by_another_gateway_under_the_same_id(
    on: Settings, queue_settings: QueueSettings, worker: FakeWorker
) -> None:
    with Receiver([500]) as receiver:
        with a_gateway(on, queue_settings) as client:
            submit(client, receiver.url)
            wait_until(lambda: counted(client, "retried") == 1)
        receiver.answers(200)
        with a_gateway(on, queue_settings) as client:
            wait_until(lambda: counted(client, "delivered") == 1)

    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def test_a_receiver_that_is_gone_for_good_is_not_asked_again(
    on: Settings, queue_settings: QueueSettings, worker: FakeWorker
) -> None:
    with Receiver([410]) as receiver, a_gateway(on, queue_settings) as client:
        submit(client, receiver.url)
        wait_until(lambda: counted(client, "given_up") == 1)


def test_a_redirect_is_not_followed(
    on: Settings, queue_settings: QueueSettings, worker: FakeWorker
) -> None:
    with (
        Receiver() as elsewhere,
        Receiver([307], elsewhere.url) as receiver,
        a_gateway(on, queue_settings) as client,
    ):
        submit(client, receiver.url)
        wait_until(lambda: counted(client, "retried") == 1)

    assert len(receiver.received) == 1
    assert not elsewhere.received


def test_a_name_that_leads_into_a_private_network_is_called_by_nobody(
    on: Settings, queue_settings: QueueSettings, worker: FakeWorker
) -> None:
    with Receiver() as receiver:
        strict = replace(on, webhook_networks=())
        with a_gateway(strict, queue_settings) as client:
            submit(client, f"https://localhost:{receiver.port}/")
            wait_until(lambda: counted(client, "given_up") == 1)

    assert not receiver.received


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://127.0.0.1/", "not public"),
        ("https://10.1.2.3/", "not public"),
        ("https://169.254.169.254/latest/meta-data", "not public"),
        ("https://[::1]/", "not public"),
        ("https://[::ffff:10.0.0.1]/", "not public"),
        ("http://example.org/", "https://"),
        ("https://user:pw@example.org/", "name or password"),
        ("ftp://example.org/", "must be a URL"),
        ("https://", "must be a URL"),
        ("https://[::1", "must be a URL"),
        ("https://example.org:99999/", "must be a URL"),
        ("https://exam ple.org/\r\nX: y", "must be a URL"),
        ("file:///etc/passwd", "must be a URL"),
    ],
)
def test_a_url_that_may_not_be_called_is_refused_at_once(
    on: Settings, queue_settings: QueueSettings, url: str, words: str
) -> None:
    with a_gateway(replace(on, webhook_networks=()), queue_settings) as client:
        answer = client.post("/jobs", json={**WISH, "webhook_url": url})

    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "webhook_url"
    assert words in error["message"]


def test_without_a_secret_webhooks_are_off(gateway: httpx.Client, worker: FakeWorker) -> None:
    answer = gateway.post("/jobs", json={**WISH, "webhook_url": "https://example.org/"})

    assert answer.status_code == 422
    assert "BLOCKCACHE_WEBHOOK_SECRET" in answer.json()["errors"][0]["message"]


def test_who_waits_for_the_answer_needs_no_webhook(
    on: Settings, queue_settings: QueueSettings, worker: FakeWorker
) -> None:
    with a_gateway(on, queue_settings) as client:
        answer = client.post("/generate", json={**WISH, "webhook_url": "https://example.org/"})

    assert answer.status_code == 422
    assert "respond-async" in answer.json()["errors"][0]["message"]
