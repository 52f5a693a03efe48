"""GET /jobs/{id}/events: a job is followed live, by many, from where they left off."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.contract.connection import connect
from app.contract.jobs import Reason
from app.contract.keys import Keys
from tests.integration.fake_worker import FakeWorker
from tests.integration.gateways import running_gateway, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.settings import QueueSettings
    from app.settings import Settings

WISH: dict[str, Any] = {"prompt": "a cat", "latency_budget_ms": 5000, "seed": 3}

FOLLOWERS = 20


def submit(gateway: httpx.Client) -> str:
    return str(gateway.post("/jobs", json=WISH).headers["location"])


@contextmanager
def following(gateway: httpx.Client, location: str, after: str = "") -> Iterator[Iterator[Any]]:
    """Give the events as (name, data, id)."""
    headers = {"Last-Event-ID": after} if after else {}
    with gateway.stream("GET", f"{location}/events", headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any], str]]:
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            found[name] = value
        elif "event" in found:
            yield found["event"], json.loads(found["data"]), found.get("id", "")
            found = {}


def all_events(gateway: httpx.Client, location: str, after: str = "") -> list[Any]:
    with following(gateway, location, after) as events:
        return list(events)


def names(events: list[Any]) -> list[str]:
    return [name for name, _, _ in events]


def test_a_job_is_followed_from_the_queue_to_its_result(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    worker.gate.clear()
    location = submit(gateway)
    with following(gateway, location) as events:
        seen = [next(events) for _ in range(3)]
        worker.gate.set()
        seen += list(events)

    assert names(seen) == ["queued", "running", "step", "finished"]
    assert seen[2][1]["step"] == 1
    assert seen[2][1]["steps"] == 8
    assert seen[2][1]["predicted_left_ms"] > 0
    assert seen[3][1] == gateway.get(location).json()
    ids = [tuple(map(int, event_id.split("-"))) for _, _, event_id in seen]
    assert ids == sorted(set(ids))


def test_a_waiting_job_tells_its_place_as_it_moves(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    worker.gate.clear()
    submit(gateway)
    assert worker.holding.wait(30)
    between, last = submit(gateway), submit(gateway)
    with following(gateway, last) as events:
        first = next(events)
        gateway.delete(between)
        second = next(events)

    assert [first[1]["position"], second[1]["position"]] == [1, 0]
    assert [bool(first[2]), bool(second[2])] == [True, False]


@pytest.mark.parametrize(
    ("reason", "name"),
    [(Reason.ERROR, "failed"), (Reason.DEAD, "failed"), (Reason.CANCELLED, "cancelled")],
)
def test_a_job_without_a_picture_ends_its_events_with_the_reason(
    gateway: httpx.Client,
    store_url: str,
    queue_settings: QueueSettings,
    reason: Reason,
    name: str,
) -> None:
    with FakeWorker(store_url, queue_settings, failing=reason):
        last = all_events(gateway, submit(gateway))[-1]

    assert last[0] == name
    assert last[1]["failure"]["reason"] == reason.value


def test_who_comes_back_gets_what_it_missed(gateway: httpx.Client, worker: FakeWorker) -> None:
    location = submit(gateway)
    whole = all_events(gateway, location)

    for n, (_, _, event_id) in enumerate(whole[:-1]):
        assert all_events(gateway, location, event_id) == whole[n + 1 :]


def test_who_has_seen_the_end_is_told_not_to_come_back(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    location = submit(gateway)
    *_, (_, _, last_id) = all_events(gateway, location)

    answer = gateway.get(f"{location}/events", headers={"Last-Event-ID": last_id})

    assert answer.status_code == 204


def test_who_comes_back_to_another_gateway_goes_on_there(
    gateway: httpx.Client, worker: FakeWorker, settings: Settings, queue_settings: QueueSettings
) -> None:
    worker.gate.clear()
    location = submit(gateway)
    with following(gateway, location) as events:
        (_, _, seen), _ = next(events), next(events)
    with running_gateway(settings, queue_settings) as url, httpx.Client(base_url=url) as other:
        worker.gate.set()
        assert names(all_events(other, location, seen)) == ["running", "step", "finished"]


def test_many_follow_a_job_by_one_reader(
    gateway: httpx.Client, worker: FakeWorker, store_url: str
) -> None:
    worker.gate.clear()
    location = submit(gateway)
    begun = threading.Semaphore(0)

    def follow() -> list[Any]:
        with following(gateway, location) as events:
            first = next(events)
            begun.release()
            return [first, *events]

    with ThreadPoolExecutor(FOLLOWERS) as pool, connect(store_url) as store:
        before = _reads(store)
        followers = [pool.submit(follow) for _ in range(FOLLOWERS)]
        assert all(begun.acquire(timeout=30) for _ in followers)
        worker.gate.set()
        found = [follower.result(10) for follower in followers]
        read = _reads(store) - before

    assert all(events == found[0] for events in found)
    assert names(found[0])[-1] == "finished"
    assert read < FOLLOWERS


def _reads(store: Any) -> int:
    return int(store.info("commandstats").get("cmdstat_xrange", {"calls": 0})["calls"])


def test_silence_is_filled_with_comments(
    settings: Settings, queue_settings: QueueSettings, worker: FakeWorker
) -> None:
    worker.gate.clear()
    often = replace(settings, heartbeat_s=0.1)
    with running_gateway(often, queue_settings) as url, httpx.Client(base_url=url) as client:
        path = f"{submit(client)}/events"
        with client.stream("GET", path, timeout=5) as answer:
            comments = (line for line in answer.iter_lines() if line.startswith(":"))
            assert [next(comments), next(comments)]
        worker.gate.set()


def test_only_so_many_may_follow_and_room_is_made_by_leaving(
    settings: Settings, queue_settings: QueueSettings, worker: FakeWorker
) -> None:
    worker.gate.clear()
    small = replace(settings, max_event_streams=1, heartbeat_s=0.1)
    with running_gateway(small, queue_settings) as url, httpx.Client(base_url=url) as client:
        location = submit(client)

        def refusal() -> int:
            with client.stream("GET", f"{location}/events") as answer:
                return answer.status_code

        with following(client, location) as events:
            next(events)
            assert refusal() == 503
        wait_until(lambda: refusal() == 200)
        worker.gate.set()


def test_a_gateway_that_stops_ends_its_streams_at_once(
    settings: Settings, queue_settings: QueueSettings, worker: FakeWorker
) -> None:
    worker.gate.clear()
    patient = replace(settings, shutdown_grace_s=60)
    seen: list[str] = []
    begun = threading.Event()
    with httpx.Client() as client, running_gateway(patient, queue_settings) as url:
        client.base_url = url
        location = submit(client)

        def follow() -> None:
            with following(client, location) as events:
                for name, _, _ in events:
                    seen.append(name)
                    begun.set()

        follower = threading.Thread(target=follow)
        follower.start()
        assert begun.wait(30)
        stopped_s = time.monotonic()
    follower.join(10)

    assert time.monotonic() - stopped_s < 10
    assert "finished" not in seen


def test_a_job_whose_events_are_forgotten_still_tells_how_it_ended(
    gateway: httpx.Client, worker: FakeWorker, store_url: str, prefix: str
) -> None:
    location = submit(gateway)
    all_events(gateway, location)
    with connect(store_url) as store:
        store.delete(Keys(prefix).events(location.rpartition("/")[2]))

    assert names(all_events(gateway, location)) == ["finished"]


@pytest.mark.parametrize("last", ["x", "1", "1-2-3", "-1-0", "9" * 30 + "-0"])
def test_an_event_id_that_is_none_is_refused(
    gateway: httpx.Client, worker: FakeWorker, last: str
) -> None:
    answer = gateway.get(f"{submit(gateway)}/events", headers={"Last-Event-ID": last})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Last-Event-ID"


def test_nobody_follows_a_job_that_is_not(gateway: httpx.Client) -> None:
    assert gateway.get("/jobs/unknown/events").status_code == 404
