"""What a worker counts, and where Prometheus reads it."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from workers.batch import Ran

log = logging.getLogger(__name__)
M = TypeVar("M", Counter, Histogram)
STEPS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
BATCHES = (1, 2, 4, 8, 16, 32)
STEP_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class WorkerMetrics:
    """The worker's metrics on a registry of their own."""

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        self._model = model
        self._known: dict[tuple[Any, ...], Any] = {}
        r = self.registry
        self._images = Counter(
            "blockcache_images", "Pictures made", ["model", "solver"], registry=r
        )
        self._plan_images = Counter(
            "blockcache_plan_images", "Pictures made by plan", ["model", "plan"], registry=r
        )
        self._blocks = Counter(
            "blockcache_block_executions",
            "UNet units computed, reused from the cache, or skipped as dead work",
            ["model", "result"],
            registry=r,
        )
        self._batch = Histogram(
            "blockcache_batch_size", "Pictures made at once", buckets=BATCHES, registry=r
        )
        self._denoise = Histogram(
            "blockcache_denoise_seconds", "Time in the denoising loop", buckets=STEPS_S, registry=r
        )
        self._step = Histogram(
            "blockcache_step_seconds",
            "Mean time of a batch's denoising steps",
            ["model"],
            buckets=STEP_S,
            registry=r,
        )
        self._fraction = Histogram(
            "blockcache_compute_fraction",
            "Share of an uncached run's denoising time that a plan computes",
            ["model"],
            buckets=FRACTIONS,
            registry=r,
        )
        self._hurried = Counter(
            "blockcache_hurried_steps", "Steps cut short to end in time", registry=r
        )
        self._extended = Counter(
            "blockcache_extended_steps", "Steps that used time to spare", registry=r
        )
        self._pauses = Counter(
            "blockcache_pauses",
            "Batches paused between two steps for one with an earlier deadline",
            registry=r,
        )
        self._lost = Counter(
            "blockcache_leases_lost", "Results refused because the lease was lost", registry=r
        )
        self._retries = Counter(
            "blockcache_retries", "Jobs returned to the queue after an error", registry=r
        )
        self._published = Gauge(
            "blockcache_card_published_timestamp_seconds",
            "When the worker last announced itself; 0 until it is ready",
            registry=r,
        )
        self._memory = Gauge(
            "blockcache_gpu_memory_bytes", "GPU memory in use; 0 without a GPU", registry=r
        )
        self._memory.set_function(gpu_memory_bytes)
        if gpu_temperature_celsius() is not None:
            temperature = Gauge(
                "blockcache_gpu_temperature_celsius", "Temperature of the GPU", registry=r
            )
            temperature.set_function(lambda: gpu_temperature_celsius() or math.nan)

    def ran(self, ran: Ran) -> None:
        """Count a finished batch."""
        counts = ran.rendered.counts
        self._one(self._images, ran.plan.solver).inc(ran.batch_size)
        for result in ("computed", "reused", "skipped"):
            self._one(self._blocks, result).inc(getattr(counts, result))
        self._one(self._plan_images, ran.plan.name).inc(ran.batch_size)
        self._batch.observe(ran.batch_size)
        self._one(self._step).observe(ran.rendered.denoise_ms / 1e3 / ran.plan.steps)
        self._one(self._fraction).observe(ran.plan.compute_fraction)
        self._denoise.observe(ran.rendered.denoise_ms / 1e3)
        self._hurried.inc(ran.plan.hurried_steps)
        self._extended.inc(ran.plan.extended_steps)

    def _one(self, family: M, *labels: str) -> M:
        """Return a metric of this model: the library takes a lock to find it."""
        key = (family, *labels)
        found: M | None = self._known.get(key)
        if found is None:
            found = self._known[key] = family.labels(self._model, *labels)
        return found

    def paused(self) -> None:
        """Count a batch that stands back for another."""
        self._pauses.inc()

    def lease_lost(self, results: int = 1) -> None:
        """Count results that came too late to be accepted."""
        self._lost.inc(results)

    def retried(self) -> None:
        """Count a job that goes back to the queue after an error."""
        self._retries.inc()

    def published(self) -> None:
        """Note that the worker's card has just reached the store."""
        self._published.set_to_current_time()


def gpu_memory_bytes() -> float:
    """Return the GPU memory this process holds."""
    return float(torch.cuda.memory_allocated()) if torch.cuda.is_available() else 0.0


def gpu_temperature_celsius() -> float | None:
    """Return the GPU's temperature, None without a GPU or without NVIDIA's management library."""
    if not torch.cuda.is_available():
        return None
    try:
        return float(torch.cuda.temperature())
    except Exception as error:  # noqa: BLE001 they have names only where the library is installed
        log.debug("no GPU temperature: %r", error)
        return None


def serve(metrics: WorkerMetrics, host: str, port: int) -> WSGIServer:
    """Serve the metrics over HTTP in a thread; raises OSError when the port is taken."""
    server, _thread = start_http_server(port, host, metrics.registry)
    return server
