"""GET /status, GET /plans/{name} and previews: what a page needs to show the service at work."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from schedules.schedule import Schedule, Work
from tests.builders import costs
from tests.integration.fake_worker import PREVIEW_SEED, a_png
from tests.integration.gateways import wait_until
from tests.integration.test_gateway_events import all_events

if TYPE_CHECKING:
    import httpx

    from tests.integration.fake_worker import FakeWorker

WISH: dict[str, Any] = {"prompt": "a cat", "latency_budget_ms": 5000, "seed": 3}


def test_the_status_names_workers_and_counts_what_was_made(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    for _ in range(3):
        gateway.post("/generate", json=WISH)
    status = gateway.get("/status").json()

    (card,) = status["workers"]
    assert (card["worker"], card["ready"], card["busy_ms"]) == (worker.card.worker, True, 0)
    buckets = status["recent"]["buckets"]
    assert sum(bucket["images"] for bucket in buckets) == 3
    assert sum(bucket["in_time"] for bucket in buckets) == 3
    assert sum(bucket["computed"] for bucket in buckets) > 0
    assert status["now_unix_ms"] / 1000 - buckets[-1]["at_unix_s"] < 60


def test_the_status_tells_what_waits(gateway: httpx.Client, worker: FakeWorker) -> None:
    worker.gate.clear()
    for _ in range(3):
        gateway.post("/jobs", json=WISH)
    wait_until(worker.holding.is_set)

    (waiting,) = gateway.get("/status").json()["queue"]
    assert (waiting["model"], waiting["jobs"]) == ("emoji", 2)
    assert waiting["work_ms"] > 0


def test_a_plan_is_shown_as_a_table(gateway: httpx.Client, worker: FakeWorker) -> None:
    plan = worker.book.plans[1]
    table = gateway.get(f"/plans/{plan.name}", params={"model": "emoji", "width": 64}).json()

    letters = {Work.COMPUTED: "C", Work.REUSED: "R", Work.SKIPPED: "S"}
    rows = plan.schedule.work(worker.book.graph)
    assert table["work"] == ["".join(letters[work] for work in row) for row in rows]
    assert [unit["name"] for unit in table["units"]] == [u.name for u in worker.book.graph.units]
    assert "R" in "".join(table["work"])
    computes = Schedule.of([letter == "C" for letter in row] for row in table["work"])
    assert computes.normalised(worker.book.graph) == plan.schedule


def test_an_unknown_plan_is_said_to_be_one(gateway: httpx.Client, worker: FakeWorker) -> None:
    answer = gateway.get("/plans/ddim-3-nothing")

    assert answer.status_code == 404
    assert answer.json()["type"].endswith("unknown-plan")
    assert gateway.get("/plans/x", params={"model": "other"}).status_code == 422


def test_an_accepted_job_names_its_plan(gateway: httpx.Client, worker: FakeWorker) -> None:
    accepted = gateway.post("/jobs", json=WISH)
    name = accepted.headers["x-blockcache-plan"]

    assert gateway.get(f"/plans/{name}").json()["name"] == name


def test_previews_are_told_as_they_come_and_can_be_fetched(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    location = gateway.post("/jobs", json={**WISH, "previews": 2}).headers["location"]
    events = all_events(gateway, location)

    urls = [data["url"] for name, data, _ in events if name == "preview"]
    assert urls == [f"{location}/previews/{number}" for number in range(2)]
    shown = [gateway.get(url).content for url in urls]
    assert shown == [a_png(PREVIEW_SEED), a_png(PREVIEW_SEED + 1)]
    assert gateway.get(f"{location}/previews/2").status_code == 404


def test_small_previews_ask_for_no_larger_budget(gateway: httpx.Client, worker: FakeWorker) -> None:
    worker.card = replace(worker.card, costs=costs(step_ms=1000.0))
    worker.publish()
    least_ms = gateway.post("/jobs", json={**WISH, "latency_budget_ms": 1}).json()
    budget_ms = least_ms["minimum_latency_ms"] + 1
    answer = gateway.post("/jobs", json={**WISH, "latency_budget_ms": budget_ms, "previews": 8})

    assert answer.status_code == 202
    all_events(gateway, answer.headers["location"])
    assert (worker.claimed[0].previews, worker.claimed[0].full_previews) == (8, False)


def test_too_many_previews_are_refused(gateway: httpx.Client, worker: FakeWorker) -> None:
    answer = gateway.post("/jobs", json={**WISH, "previews": 9})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "previews"
