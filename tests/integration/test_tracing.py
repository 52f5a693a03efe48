"""Traces of real requests through a real queue to a real model, as a collector gets them."""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack, aclosing, closing
from typing import TYPE_CHECKING

import httpx
import pytest

from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.tracing import open_tracing
from app.telemetry import JsonLines
from tests.integration.collector import Collector
from tests.integration.gateways import running_gateway
from tests.integration.worker_loops import MINUTE_MS, result, running
from tests.tiny_books import book_for, costs_for, job_for
from tests.tiny_models import load_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.settings import QueueSettings
    from app.contract.tracing import Tracing
    from app.settings import Settings
    from tests.integration.fake_worker import FakeWorker
    from workers.pipeline import Model

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
GIVEN = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
PROMPT = "a very secret cat"
WISH = {"prompt": PROMPT, "latency_budget_ms": MINUTE_MS, "seed": 7}
SERVER, PRODUCER, CONSUMER = 2, 4, 5


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_tiny("sd1", tmp_path_factory.mktemp("models"))


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Yield a collector that has seen nothing."""
    with Collector() as collector:
        yield collector


@pytest.fixture
def tracing(collector: Collector) -> Iterator[Tracing]:
    """Yield what gateway and worker of a test export by; closing it sends all."""
    with closing(open_tracing(collector.endpoint, "blockcache-gateway")) as tracing:
        yield tracing


class Traced:
    """A client of a gateway that traces."""

    def __init__(self, settings: Settings, queue_settings: QueueSettings, tracing: Tracing) -> None:
        self._open = ExitStack()
        self._open.enter_context(closing(tracing))
        url = self._open.enter_context(running_gateway(settings, queue_settings, tracing))
        self.client = self._open.enter_context(httpx.Client(base_url=url, timeout=60))

    def close(self) -> None:
        """Stop the gateway and send its spans: one ends only after its answer is out."""
        self._open.close()


@pytest.fixture
def traced(settings: Settings, queue_settings: QueueSettings, tracing: Tracing) -> Iterator[Traced]:
    """Yield a running gateway that traces."""
    with closing(Traced(settings, queue_settings, tracing)) as traced:
        yield traced


def test_a_request_is_one_trace_from_the_gateway_through_the_queue_to_the_steps(
    store_url: str,
    queue_settings: QueueSettings,
    model: Model,
    traced: Traced,
    collector: Collector,
) -> None:
    with closing(open_tracing(collector.endpoint, "blockcache-worker")) as workers_own:
        own = (store_url, queue_settings, model, book_for(model))
        with running(*own, tracing=workers_own):
            while traced.client.get("/readyz").status_code != 200:
                pass
            answer = traced.client.post("/generate", json=WISH, headers=GIVEN)
    traced.close()

    assert answer.status_code == 200, answer.text
    assert answer.headers["X-Trace-Id"] == TRACE
    assert {span.trace_id for span in collector.spans} == {TRACE}
    request, job = collector.named("POST /generate"), collector.named("job")
    assert (request.service, request.kind, request.parent_id) == (
        "blockcache-gateway", SERVER, SPAN,
    )  # fmt: skip
    assert collector.under(request) == ["plan", "submit", "wait"]
    submit = collector.named("submit")
    assert (submit.kind, job.kind, job.parent_id) == (PRODUCER, CONSUMER, submit.span_id)
    assert job.service == "blockcache-worker"
    assert collector.under(job) == ["queue", "encode", "denoise", "decode", "png"]
    steps = answer.json()["plan"]["steps"]
    assert collector.under(collector.named("denoise")) == ["step"] * steps
    assert job.attributes["blockcache.steps"] == steps
    assert job.attributes["blockcache.hit_ratio"] == answer.json()["cache"]["hit_ratio"]
    assert PROMPT.encode() not in collector.raw


async def test_jobs_of_one_batch_are_linked_to_one_another(
    store_url: str,
    queue_settings: QueueSettings,
    model: Model,
    tracing: Tracing,
    collector: Collector,
) -> None:
    book = book_for(model)
    jobs = [job_for(model, book.plans[0], trace=f"00-{n}{TRACE[1:]}-{SPAN}-01") for n in (1, 2)]
    async with aclosing(RedisGatewayQueue.connect(store_url, queue_settings)) as queue:
        for job in jobs:
            await queue.submit(job, MINUTE_MS)
        own = (store_url, queue_settings, model, book)
        cheaper = costs_for(model, more=0.1)
        with running(*own, costs=cheaper, tracing=tracing):
            results = [await result(queue, job) for job in jobs]
    tracing.close()

    assert [one.batch_size for one in results] == [2, 2]
    first, second = sorted(
        (span for span in collector.spans if span.name == "job"), key=lambda span: span.trace_id
    )
    assert (first.trace_id[0], second.trace_id[0]) == ("1", "2")
    assert first.links == {second.span_id}
    assert second.links == {first.span_id}


async def test_a_job_that_fails_says_so_in_its_span(
    store_url: str,
    queue_settings: QueueSettings,
    model: Model,
    tracing: Tracing,
    collector: Collector,
    caplog: pytest.LogCaptureFixture,
) -> None:
    book = book_for(model)
    other = job_for(model, book.plans[0], revision="other", trace=GIVEN["traceparent"])
    async with aclosing(RedisGatewayQueue.connect(store_url, queue_settings)) as queue:
        await queue.submit(other, MINUTE_MS)
        with running(store_url, queue_settings, model, book, tracing=tracing):
            await queue.wait(other.id, 30)
    tracing.close()

    spans = [span for span in collector.spans if span.name == "job"]
    assert [span.attributes["blockcache.attempt"] for span in spans] == [1, 2, 3]
    assert {(span.failed, span.attributes["error.type"]) for span in spans} == {
        (True, "ModelError")
    }
    assert f"(trace_id {TRACE})" in caplog.text


def test_a_request_without_a_trace_begins_one(
    traced: Traced, worker: FakeWorker, collector: Collector
) -> None:
    answer = traced.client.post("/generate", json={**WISH, "latency_budget_ms": 5000})
    traced.close()

    request = collector.named("POST /generate")
    assert (request.trace_id, request.parent_id) == (answer.headers["X-Trace-Id"], "")
    assert (worker.claimed[0].trace or "").split("-")[1] == request.trace_id


def test_a_span_is_named_by_the_route_and_holds_nothing_of_the_path(
    traced: Traced, collector: Collector
) -> None:
    traced.client.get("/jobs/very-secret")
    traced.client.get("/also-secret")
    traced.close()

    names = [span.name for span in collector.spans]
    assert names == ["GET /jobs/{job_id}", "GET unmatched"]
    assert b"secret" not in collector.raw


def test_probes_are_not_traced(traced: Traced, collector: Collector) -> None:
    answers = [traced.client.get(path) for path in ("/healthz", "/readyz", "/metrics", "/status")]
    traced.close()

    assert not any("X-Trace-Id" in answer.headers for answer in answers)
    assert collector.spans == []


def test_a_caller_who_does_not_sample_is_obeyed(
    traced: Traced, worker: FakeWorker, collector: Collector
) -> None:
    unsampled = {"traceparent": f"00-{TRACE}-{SPAN}-00"}
    answer = traced.client.post("/plan", json={"latency_budget_ms": 5000}, headers=unsampled)
    traced.close()

    assert answer.headers["X-Trace-Id"] == TRACE
    assert collector.spans == []


def test_without_tracing_an_answer_names_no_trace(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    answer = gateway.post("/generate", json={**WISH, "latency_budget_ms": 5000}, headers=GIVEN)

    assert "X-Trace-Id" not in answer.headers
    assert worker.claimed[0].trace is None


def test_a_log_line_has_the_id_of_the_trace_it_belongs_to(tracing: Tracing) -> None:
    lines = JsonLines(tracing.trace_id)
    record = logging.makeLogRecord({"msg": "request"})
    with tracing.request("GET", GIVEN):
        within = json.loads(lines.format(record))
    after = json.loads(lines.format(record))

    assert within["trace_id"] == TRACE
    assert "trace_id" not in after


def test_a_collector_that_is_away_keeps_nobody_from_stopping() -> None:
    tracing = open_tracing("http://127.0.0.1:9", "blockcache-gateway")
    with tracing.request("GET", {}) as answered:
        answered("/models", 200)

    tracing.close()
