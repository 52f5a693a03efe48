"""What the gateway says to requests that are wrong."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.integration.fake_worker import FakeWorker

WISH: dict[str, Any] = {"prompt": "a cat", "latency_budget_ms": 5000}
PROBLEM = "application/problem+json"

WRONG_FIELDS = [
    ({"prompt": ""}, "prompt", "only blanks"),
    ({"prompt": " \n\t"}, "prompt", "only blanks"),
    ({"prompt": "a\0cat"}, "prompt", "NUL"),
    ({"prompt": "x" * 2001}, "prompt", "at most 2000"),
    ({"prompt": 7}, "prompt", "string"),
    ({"prompt": None}, "prompt", "string"),
    ({"prompt": "\ud800"}, "prompt", "Unicode"),
    ({"negative_prompt": "x" * 2001}, "negative_prompt", "at most 2000"),
    ({"latency_budget_ms": 0}, "latency_budget_ms", "greater than 0"),
    ({"latency_budget_ms": -1}, "latency_budget_ms", "greater than 0"),
    ({"latency_budget_ms": 600_001}, "latency_budget_ms", "at most 600000"),
    ({"latency_budget_ms": "500"}, "latency_budget_ms", "number"),
    ({"latency_budget_ms": True}, "latency_budget_ms", "number"),
    ({"num_images": 0}, "num_images", "at least 1"),
    ({"num_images": 9}, "num_images", "at most 8"),
    ({"num_images": 1.5}, "num_images", "whole number"),
    ({"num_images": True}, "num_images", "whole number"),
    ({"seed": -1}, "seed", "at least 0"),
    ({"seed": 2**63}, "seed", "at most"),
    ({"seed": 2**63 - 1, "num_images": 2}, "body", "must not exceed"),
    ({"guidance_scale": 0.5}, "guidance_scale", "at least 1"),
    ({"guidance_scale": 31}, "guidance_scale", "at most 30"),
    ({"response_format": "gif"}, "response_format", "one of"),
    ({"output_format": "gif"}, "output_format", "one of"),
    ({"output_format": "jpeg", "output_quality": 0}, "output_quality", "at least 1"),
    ({"output_format": "jpeg", "output_quality": 101}, "output_quality", "at most 100"),
    ({"output_quality": 80}, "output_quality", "applies to jpeg and webp"),
    ({"embed_metadata": "no"}, "embed_metadata", "true or false"),
    ({"min_quality": 1.1}, "min_quality", "at most 1"),
    ({"width": 63}, "width", "64x64"),
    ({"width": 64, "height": 128}, "height", "64x64"),
    ({"width": "64"}, "width", "whole number"),
    ({"model": "sdxl"}, "model", "emoji"),
    ({"model": ""}, "model", "at least 1"),
    ({"steps": 20}, "steps", "not a field"),
]


@pytest.mark.parametrize(("change", "field", "words"), WRONG_FIELDS)
def test_a_wrong_field_is_named_and_explained(
    gateway: httpx.Client, worker: FakeWorker, change: dict[str, Any], field: str, words: str
) -> None:
    content = json.dumps({**WISH, **change}).encode("ascii")
    answer = gateway.post(
        "/generate", content=content, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == PROBLEM
    found = {error["field"]: error["message"] for error in answer.json()["errors"]}
    assert words in found[field]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"null", 422),
        (b"[]", 422),
        (b'"prompt"', 422),
        (b'{"prompt": "\xff"}', 400),
        (b'{"prompt": NaN}', 422),
        (b'{"prompt": "x", "latency_budget_ms": NaN}', 422),
        (b'{"prompt": "x", "latency_budget_ms": 1e999}', 422),
        (b'{"prompt": "x", "seed": ' + b"9" * 5000 + b"}", 400),
        (b"[" * 60_000, 400),
    ],
)
def test_a_body_that_is_no_request_is_a_problem(
    gateway: httpx.Client, worker: FakeWorker, content: bytes, status: int
) -> None:
    answer = gateway.post(
        "/generate", content=content, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["status"] == status


def test_a_field_name_that_is_no_unicode_is_refused(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    content = b'{"prompt": "a cat", "\\ud800": 1}'
    answer = gateway.post(
        "/generate", content=content, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_a_form_is_told_to_be_json(gateway: httpx.Client) -> None:
    answer = gateway.post("/generate", data={"prompt": "a cat"})

    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["detail"]


def test_the_callers_words_are_not_repeated(gateway: httpx.Client) -> None:
    answer = gateway.post("/generate", json={**WISH, "prompt": "secret" * 1000})

    assert "secret" not in answer.text


@pytest.mark.parametrize("accept", ["text/html", "image/gif", "application/json;q=0"])
def test_an_accept_header_nobody_can_meet_is_a_406(gateway: httpx.Client, accept: str) -> None:
    answer = gateway.post("/generate", json=WISH, headers={"Accept": accept})

    assert answer.status_code == 406
    assert answer.headers["content-type"] == PROBLEM


def test_one_png_cannot_hold_two_pictures(gateway: httpx.Client, worker: FakeWorker) -> None:
    wish = {**WISH, "num_images": 2}
    answer = gateway.post("/generate", json=wish, headers={"Accept": "image/png"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "num_images"


def test_a_body_that_declares_ten_megabytes_is_refused(gateway: httpx.Client) -> None:
    answer = gateway.post("/generate", json={**WISH, "prompt": "x" * 10_000_000})

    assert answer.status_code == 413
    assert answer.headers["content-type"] == PROBLEM
    assert gateway.get("/healthz").status_code == 200


def test_an_endless_chunked_body_is_refused_before_it_ends(gateway: httpx.Client) -> None:
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        while sent < 10_000_000:
            sent += 65_536
            yield b"x" * 65_536

    answer = gateway.post("/generate", content=chunks())

    assert answer.status_code == 413


def test_the_refusal_of_a_long_body_does_not_wait_for_it(gateway: httpx.Client) -> None:
    address = urlsplit(str(gateway.base_url))
    head = b"POST /generate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=5) as raw:
        raw.sendall(head + b"20000\r\n" + b"x" * 0x20000 + b"\r\n")
        answer = raw.recv(4096)

    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/generate", 405),
        ("PUT", "/plan", 405),
        ("GET", "/jobs/unknown", 404),
        ("GET", "/jobs/..%2f..%2fetc", 404),
        ("GET", "/jobs/a%00b", 404),
        ("GET", "/jobs/" + "x" * 300, 404),
        ("DELETE", "/jobs/unknown", 404),
        ("GET", "/jobs/unknown/images/0", 404),
        ("GET", "/jobs/unknown/images/-1", 404),
        ("GET", "/jobs/unknown/images/" + "9" * 40, 404),
        ("GET", "/jobs/unknown/images/one", 404),
    ],
)
def test_wrong_addresses_are_problems_as_well(
    gateway: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = gateway.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["status"] == status
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_request_keeps_the_id_it_came_with_unless_it_is_odd(gateway: httpx.Client) -> None:
    kept = gateway.get("/healthz", headers={"X-Request-Id": "abc-123"})
    replaced = gateway.get("/healthz", headers={"X-Request-Id": "a b<script>"})

    assert kept.headers["x-request-id"] == "abc-123"
    assert len(replaced.headers["x-request-id"]) == 32


def test_no_page_of_another_origin_is_let_in(gateway: httpx.Client) -> None:
    answer = gateway.get("/healthz", headers={"Origin": "https://evil.example"})

    assert "access-control-allow-origin" not in answer.headers
