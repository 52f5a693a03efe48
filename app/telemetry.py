"""Metrics of the gateway, in a registry of its own, and logs as JSON lines without prompts."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from app.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from app.contract.cards import WorkerCard
    from app.contract.jobs import Result
    from app.contract.lanes import Lane
    from app.contract.ports import Backlog, StoreMemory

M = TypeVar("M", Counter, Histogram)

OUTCOMES = ("done", "late", "failed", "cancelled", "dead", "missed", "refused")
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
BUDGET_RATIOS = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5, 2.0, 3.0)
ERROR_RATIOS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0, 1.02, 1.05, 1.1, 1.2, 1.35, 1.5, 2.0)


class Telemetry:
    """Counts what the gateway sees. One instance per application, no global registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.recent = Recent()
        self._known: dict[tuple[Any, ...], Any] = {}
        ProcessCollector(registry=self.registry)
        self._define_counts()
        self._define_gauges()
        self._define_histograms()

    def _define_counts(self) -> None:
        self._budgets = self._counter(
            "budget_requests", "Finished requests by whether the budget was kept", "model", "met"
        )
        self._plans = self._counter("plans", "Plans that ran", "model", "plan")
        self._replans = self._counter("replans", "Plans that a worker replaced at start", "model")
        self._jobs = self._counter("jobs", "Requests for pictures by how they ended", "outcome")
        for outcome in OUTCOMES:
            self._jobs.labels(outcome)
        self._unserved = self._counter(
            "unserved_requests", "Requests for a model of this service without a worker", "model"
        )

        self._webhooks = self._counter(
            "webhook_deliveries", "Deliveries to webhooks by what became of them", "outcome"
        )

    def _define_gauges(self) -> None:
        self._depth = self._gauge("queue_depth", "Jobs waiting", "model", "size")
        self._work = self._gauge("queue_work_seconds", "Predicted work waiting", "model", "size")
        self._worker_up = self._gauge(
            "worker_up", "1 for a ready worker", "worker", "model", "size"
        )
        self._dead = self._gauge("dead_letters", "Jobs that were given up")
        self._store_up = self._gauge("store_up", "1 while the store answers")
        self._store_used = self._gauge("store_memory_bytes", "Memory the store uses")
        self._store_limit = self._gauge(
            "store_memory_limit_bytes", "Memory the store may use; 0 without a limit"
        )

    def _define_histograms(self) -> None:
        self._durations = self._histogram(
            "request_duration_seconds", "From headers in to body out", SECONDS, "route", "status"
        )
        self._waits = self._histogram(
            "queue_wait_seconds", "From acceptance to start", SECONDS, "model"
        )
        self._asked = self._histogram(
            "budget_seconds", "Budgets of finished requests", SECONDS, "model"
        )
        self._used = self._histogram(
            "budget_used_ratio", "Time taken / budget", BUDGET_RATIOS, "model"
        )
        self._errors = self._histogram(
            "plan_error_ratio",
            "Time a plan took / time it was predicted to take",
            ERROR_RATIOS,
            "model",
        )

    def request(self, route: str, status: int, duration_s: float) -> None:
        """Record one answered HTTP request."""
        self._one(self._durations, route, status).observe(duration_s)

    def finished(self, model: str, result: Result, elapsed_ms: float, budget_ms: float) -> None:
        """Record a job that has its pictures."""
        met, plan = elapsed_ms <= budget_ms, result.plan
        self.recent.finished(result, met=met)
        self._one(self._jobs, "done" if met else "late").inc()
        self._one(self._budgets, model, "true" if met else "false").inc()
        self._one(self._asked, model).observe(budget_ms / 1000)
        self._one(self._used, model).observe(elapsed_ms / budget_ms)
        self._one(self._waits, model).observe(result.timing.queue_ms / 1000)
        self._one(self._plans, model, plan.name).inc()
        replans = self._one(self._replans, model)  # is there from the first one on that was not
        if plan.replanned:
            replans.inc()
        if plan.predicted_ms > 0:
            ratio = result.timing.making_ms / plan.predicted_ms
            self._one(self._errors, model).observe(ratio)

    def ended(self, outcome: str, model: str | None = None) -> None:
        """Record a request that got no picture; a promise to `model`, if any, was not kept."""
        self._jobs.labels(outcome).inc()
        if model is not None:
            self.recent.lost()
            self._budgets.labels(model, "false").inc()

    def serves(self, models: Iterable[str]) -> None:
        """Count from 0 for models of this service, so that the first request is an increase."""
        for model in models:
            self._unserved.labels(model)

    def unserved(self, model: str) -> None:
        """Record a request for a model of this service that has no worker now."""
        self._unserved.labels(model).inc()

    def webhook(self, outcome: str) -> None:
        """Record a delivery to a webhook: delivered, retried or given_up."""
        self._webhooks.labels(outcome).inc()

    def store(self, reachable: bool) -> None:
        """Record whether the store answered just now."""
        self._store_up.set(reachable)

    def store_memory(self, memory: StoreMemory) -> None:
        """Record how full the store is."""
        self._store_used.set(memory.used_bytes)
        self._store_limit.set(memory.limit_bytes)

    def queue(self, depths: Mapping[Lane, Backlog], dead_letters: int) -> None:
        """Record the queue as it is now."""
        for gauge in (self._depth, self._work):
            gauge.clear()
        for lane, backlog in depths.items():
            self._depth.labels(lane.model, lane.size).set(backlog.jobs)
            self._work.labels(lane.model, lane.size).set(backlog.work_ms / 1000)
        self._dead.set(dead_letters)

    def workers(self, cards: list[WorkerCard]) -> None:
        """Record the live workers as they are now; those that are gone disappear."""
        self._worker_up.clear()
        for card in cards:
            lane = card.lane
            self._worker_up.labels(card.worker, lane.model, lane.size).set(card.ready)
            # A lane with a worker and an empty queue has a depth of 0, not no depth.
            self._depth.labels(lane.model, lane.size)
            self._work.labels(lane.model, lane.size)
            # A share needs both its parts before the first budget is kept or missed.
            for met in ("true", "false"):
                self._budgets.labels(card.model, met)

    def render(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)

    def _one(self, family: M, *labels: str | int) -> M:
        """Return the metric of these labels: the library takes a lock to find it."""
        key = (family, *labels)
        found: M | None = self._known.get(key)
        if found is None:
            found = self._known[key] = family.labels(*labels)
        return found

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace="blockcache", registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, namespace="blockcache", registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            name, text, labels, namespace="blockcache", registry=self.registry, buckets=buckets
        )


class JsonLines(logging.Formatter):
    """Writes each record as one JSON object; fields come from `extra={"fields": {...}}`.

    What is logged while a trace goes on, as `trace_id` tells, has that field too.
    """

    def __init__(self, trace_id: Callable[[], str | None]) -> None:
        super().__init__()
        self._trace_id = trace_id

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if trace_id := self._trace_id():
            line["trace_id"] = trace_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
