"""Asynchronous jobs: accept, follow, fetch, cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from tests.integration.fake_worker import a_png
from tests.integration.gateways import wait_until

if TYPE_CHECKING:
    from tests.integration.fake_worker import FakeWorker

WISH: dict[str, Any] = {"prompt": "a cat", "latency_budget_ms": 5000, "seed": 3}
LATER = {"Prefer": "respond-async"}


def submit(gateway: httpx.Client) -> str:
    answer = gateway.post("/generate", json=WISH, headers=LATER)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["location"])


def state(gateway: httpx.Client, location: str) -> str:
    return str(gateway.get(location).json()["state"])


def test_a_caller_that_does_not_wait_gets_an_address(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    worker.gate.clear()
    answer = gateway.post("/generate", json=WISH, headers=LATER)

    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
    assert answer.json()["result"] is None


def test_a_job_handed_in_makes_pictures_in_the_format_that_was_asked_for(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    location = gateway.post("/jobs", json={**WISH, "output_format": "webp"}).headers["location"]
    wait_until(lambda: state(gateway, location) == "done")

    assert gateway.get(f"{location}/images/0").headers["content-type"] == "image/webp"


def test_a_running_job_tells_its_step(gateway: httpx.Client, worker: FakeWorker) -> None:
    worker.gate.clear()
    location = submit(gateway)
    assert worker.holding.wait(30)

    body = gateway.get(location).json()

    assert (body["state"], body["step"], body["steps"]) == ("running", 1, 8)
    assert body["position"] is None


def test_a_waiting_job_tells_its_position(gateway: httpx.Client, worker: FakeWorker) -> None:
    worker.gate.clear()
    submit(gateway)
    assert worker.holding.wait(30)
    first, second = submit(gateway), submit(gateway)

    assert gateway.get(first).json()["position"] == 0
    assert gateway.get(second).json()["position"] == 1


def test_a_finished_job_holds_the_answer_and_its_pictures(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    location = submit(gateway)
    wait_until(lambda: state(gateway, location) == "done")

    result = gateway.get(location).json()["result"]

    assert result["model"] == "emoji"
    assert result["budget"] == {"requested_ms": 5000, "met": True}
    picture = gateway.get(result["images"][0]["url"])
    assert picture.content == a_png(3)
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["cache-control"].startswith("private")


def test_reading_a_job_twice_gives_the_same_answer(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    location = submit(gateway)
    wait_until(lambda: state(gateway, location) == "done")

    assert gateway.get(location).json() == gateway.get(location).json()


def test_a_waiting_job_is_cancelled_at_once_and_may_be_cancelled_again(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    worker.gate.clear()
    submit(gateway)
    assert worker.holding.wait(30)
    waiting = submit(gateway)

    first, second = gateway.delete(waiting), gateway.delete(waiting)

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["state"] == "cancelled"
    assert first.json()["failure"]["reason"] == "cancelled"


def test_a_running_job_is_cancelled_at_its_next_step(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    worker.gate.clear()
    worker.listening.clear()
    location = submit(gateway)
    assert worker.holding.wait(30)

    assert gateway.delete(location).status_code == 202
    worker.listening.set()
    wait_until(lambda: state(gateway, location) == "cancelled")


def test_a_finished_job_can_no_longer_be_cancelled(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    location = submit(gateway)
    wait_until(lambda: state(gateway, location) == "done")

    assert gateway.delete(location).status_code == 409


def test_a_picture_that_is_not_there_yet_is_a_404_that_says_so(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    worker.gate.clear()
    location = submit(gateway)

    answer = gateway.get(f"{location}/images/0")

    assert answer.status_code == 404
    assert "no picture 0" in answer.json()["detail"]


def test_a_caller_that_does_not_wait_may_leave(gateway: httpx.Client, worker: FakeWorker) -> None:
    worker.gate.clear()
    location = submit(gateway)
    gateway.close()
    worker.gate.set()

    with httpx.Client(base_url=gateway.base_url) as other:
        wait_until(lambda: state(other, location) == "done")
