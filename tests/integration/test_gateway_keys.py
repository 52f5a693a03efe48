"""A gateway with API keys: who is let in, how often, and whose jobs are whose."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner

from app.client import Client
from app.commands import keys as keys_command
from app.errors import ServiceError
from app.keys import new_key, parse_keys, recognise
from tests.integration.fake_worker import a_png
from tests.integration.gateways import running_gateway, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.contract.settings import QueueSettings
    from app.settings import Settings
    from tests.integration.fake_worker import FakeWorker

WISH: dict[str, Any] = {"prompt": "a cat", "latency_budget_ms": 5000, "seed": 7}
PROBLEM = "application/problem+json"
ALICE, ALICES = new_key("alice", requests_per_minute=4, concurrent_jobs=2)
BOB, BOBS = new_key("bob")


def bearing(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@contextmanager
def a_gateway(
    settings: Settings, queue_settings: QueueSettings, **changes: Any
) -> Iterator[httpx.Client]:
    changed = replace(settings, keys=(ALICES, BOBS), **changes)
    with (
        running_gateway(changed, queue_settings) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client


@pytest.fixture
def guarded(settings: Settings, queue_settings: QueueSettings) -> Iterator[httpx.Client]:
    with a_gateway(settings, queue_settings) as client:
        yield client


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
def test_a_key_lets_its_owner_in(guarded: httpx.Client, worker: FakeWorker, header: str) -> None:
    value = f"Bearer {ALICE}" if header == "Authorization" else ALICE

    answer = guarded.post("/generate", json=WISH, headers={header: value})

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, "Bearer"),
        (bearing("bck_wrong"), 'Bearer error="invalid_token"'),
        ({"X-API-Key": ALICES.digest}, 'Bearer error="invalid_token"'),
        ({"Authorization": "Basic YWxpY2U6eA=="}, "Bearer"),
    ],
)
def test_without_a_known_key_nobody_is_let_in(
    guarded: httpx.Client, headers: dict[str, str], challenge: str
) -> None:
    answer = guarded.post("/generate", headers=headers, content=b"{")

    assert answer.status_code == 401
    assert answer.headers["content-type"] == PROBLEM
    assert answer.headers["www-authenticate"] == challenge
    assert answer.headers["x-request-id"]


def test_every_address_but_a_few_needs_a_key(guarded: httpx.Client) -> None:
    described = guarded.get("/openapi.json").json()["paths"]
    asked = {
        path: guarded.request(method, path).status_code
        for path, methods in described.items()
        for method in methods
    }

    open_ones = {path for path, status in asked.items() if status != 401}
    assert open_ones == {"/healthz", "/readyz", "/metrics"}
    assert guarded.get("/nowhere").status_code == 401


def test_probes_and_metrics_need_no_key(guarded: httpx.Client, worker: FakeWorker) -> None:
    paths = ("/healthz", "/readyz", "/metrics", "/openapi.json")

    assert [guarded.get(path).status_code for path in paths] == [200] * 4


def test_metrics_can_be_kept_for_keys(settings: Settings, queue_settings: QueueSettings) -> None:
    with a_gateway(settings, queue_settings, metrics_need_key=True) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers=bearing(BOB)).status_code == 200


def test_a_key_that_asks_too_often_is_told_when_to_come_back(
    guarded: httpx.Client, worker: FakeWorker
) -> None:
    answers = [guarded.post("/plan", json={}, headers=bearing(ALICE)) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=4;w=60'
    assert answers[0].headers["ratelimit"] == '"requests";r=3;t=60'
    refused = answers[4]
    assert refused.headers["ratelimit"].startswith('"requests";r=0;t=')
    assert refused.headers["retry-after"] == refused.headers["ratelimit"].rpartition("=")[2]
    assert refused.json()["type"].endswith("#quota-exceeded")
    assert guarded.post("/plan", json={}, headers=bearing(BOB)).status_code == 200


def test_reading_does_not_count(guarded: httpx.Client, worker: FakeWorker) -> None:
    answers = [guarded.get("/models", headers=bearing(ALICE)) for _ in range(6)]

    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit" not in answers[0].headers


def test_a_key_may_have_so_many_jobs_at_once(guarded: httpx.Client, worker: FakeWorker) -> None:
    worker.gate.clear()
    answers = [guarded.post("/jobs", json=WISH, headers=bearing(ALICE)) for _ in range(3)]
    waiting = guarded.post("/jobs", json=WISH, headers=bearing(BOB))

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[2].json()["type"].endswith("#quota-exceeded")
    assert answers[2].headers["retry-after"]
    assert waiting.status_code == 202


def test_nobody_sees_or_ends_the_job_of_another_key(
    guarded: httpx.Client, worker: FakeWorker
) -> None:
    location = guarded.post("/jobs", json=WISH, headers=bearing(ALICE)).headers["location"]

    def asked(secret: str) -> list[int]:
        paths = (location, f"{location}/images/0", f"{location}/events")
        found = [guarded.get(path, headers=bearing(secret)) for path in paths]
        ended = guarded.delete(location, headers=bearing(secret))
        return [answer.status_code for answer in (*found, ended)]

    wait_until(lambda: guarded.get(location, headers=bearing(ALICE)).json()["state"] == "done")
    assert asked(BOB) == [404] * 4
    assert asked(ALICE) == [200, 200, 200, 409]


def test_the_log_names_the_caller_and_holds_neither_key_nor_prompt(
    guarded: httpx.Client, worker: FakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        guarded.post("/generate", json={**WISH, "prompt": "mysterious"}, headers=bearing(ALICE))
        guarded.post("/generate", json=WISH, headers=bearing("bck_wrong"))
        wait_until(lambda: sum(r.name == "blockcache.requests" for r in caplog.records) == 2)

    fields = [r.__dict__["fields"] for r in caplog.records if r.name == "blockcache.requests"]
    assert [field["caller"] for field in fields] == ["alice", None]
    logged = json.dumps([{k: str(v) for k, v in r.__dict__.items()} for r in caplog.records])
    for secret in (ALICE, "bck_wrong", ALICES.digest, "mysterious"):
        assert secret not in logged


def test_a_page_of_a_named_origin_is_let_in_and_asks_without_a_key(
    settings: Settings, queue_settings: QueueSettings
) -> None:
    ours = {"Origin": "https://ours.example"}
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "X-API-Key"}
    with a_gateway(settings, queue_settings, cors_origins=("https://ours.example",)) as client:
        allowed = client.options("/generate", headers={**ours, **asks})
        refused = client.options("/generate", headers={"Origin": "https://evil.example", **asks})
        answer = client.post("/generate", json=WISH, headers=ours)

    assert allowed.headers["access-control-allow-origin"] == "https://ours.example"
    assert "access-control-allow-origin" not in refused.headers
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "https://ours.example"
    assert "RateLimit" in answer.headers["access-control-expose-headers"]


def test_the_client_sends_its_key(guarded: httpx.Client, worker: FakeWorker) -> None:
    url = str(guarded.base_url)
    with Client(url, key=ALICE) as client:
        made = client.generate(**WISH)
        assert client.image(made["images"][0]["url"]) == a_png(7)
    with Client(url) as client, pytest.raises(ServiceError, match="A key is needed"):
        client.plans()


def test_a_command_makes_a_key_and_the_line_for_the_file() -> None:
    done = CliRunner().invoke(keys_command, ["alice", "--concurrent-jobs", "3"])

    (key,) = parse_keys(done.stdout)
    assert (key.name, key.concurrent_jobs) == ("alice", 3)
    assert recognise(done.stderr.split()[-1], [key]) == key


@pytest.mark.parametrize("arguments", [["a/b"], ["alice", "--concurrent-jobs", "0"]])
def test_the_command_refuses_what_no_file_may_hold(arguments: list[str]) -> None:
    done = CliRunner().invoke(keys_command, arguments)

    assert done.exit_code
    assert not done.stdout


def test_a_key_that_was_added_to_the_file_is_let_in_without_a_restart(
    settings: Settings, queue_settings: QueueSettings, worker: FakeWorker, tmp_path: Path
) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(BOBS.line)
    with_file = replace(settings, keys_file=str(file))
    with (
        running_gateway(with_file, queue_settings) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        before = client.get("/models", headers=bearing(ALICE)).status_code
        file.write_text(ALICES.line)
        wait_until(lambda: client.get("/models", headers=bearing(ALICE)).is_success)
        replaced = client.get("/models", headers=bearing(BOB)).status_code

    assert (before, replaced) == (401, 401)
