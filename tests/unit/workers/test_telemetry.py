from __future__ import annotations

import socket
import urllib.request
from typing import TYPE_CHECKING

import pytest
import torch

from app.contract.jobs import RanPlan
from schedules.schedule import Counts
from workers.batch import Ran
from workers.rendering import Rendered
from workers.telemetry import WorkerMetrics, serve

if TYPE_CHECKING:
    from collections.abc import Mapping


def a_ran(*, hurried_steps: int = 0, extended_steps: int = 0) -> Ran:
    made = Rendered((b"", b""), Counts(10, 5, 2), 1.0, 2000.0, 3.0, 4.0)
    plan = RanPlan(
        "ddim", "full", 4, None, 1.0, 100.0, "psnr", 1.0,
        replanned=False, hurried_steps=hurried_steps, extended_steps=extended_steps,
    )  # fmt: skip
    return Ran(made, plan, batch_size=2, predicted_ms=100.0, worked_ms=100.0, tail_ms=0.0)


def value(metrics: WorkerMetrics, name: str, **labels: str) -> float | None:
    found: Mapping[str, str] = labels
    return metrics.registry.get_sample_value(name, dict(found))


@pytest.mark.parametrize(("result", "count"), [("computed", 10), ("reused", 5), ("skipped", 2)])
def test_block_executions_are_counted_by_what_happened(result: str, count: int) -> None:
    metrics = WorkerMetrics("emoji")
    for _ in range(2):
        metrics.ran(a_ran())

    name = "blockcache_block_executions_total"
    assert value(metrics, name, model="emoji", result=result) == 2 * count


def test_a_batch_counts_its_pictures_its_size_and_its_time() -> None:
    metrics = WorkerMetrics("emoji")
    metrics.ran(a_ran(hurried_steps=3, extended_steps=2))

    assert value(metrics, "blockcache_images_total", model="emoji", solver="ddim") == 2
    assert value(metrics, "blockcache_batch_size_sum") == 2
    assert value(metrics, "blockcache_denoise_seconds_sum") == 2.0
    assert value(metrics, "blockcache_hurried_steps_total") == 3
    assert value(metrics, "blockcache_extended_steps_total") == 2
    plan = "ddim-4-full"
    assert value(metrics, "blockcache_plan_images_total", model="emoji", plan=plan) == 2
    assert value(metrics, "blockcache_step_seconds_sum", model="emoji") == 0.5
    assert value(metrics, "blockcache_compute_fraction_sum", model="emoji") == 1.0


def test_lost_leases_and_retries_are_counted() -> None:
    metrics = WorkerMetrics("emoji")
    metrics.lease_lost()
    metrics.retried()

    assert value(metrics, "blockcache_leases_lost_total") == 1
    assert value(metrics, "blockcache_retries_total") == 1


def test_metrics_are_served_over_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = serve(WorkerMetrics("emoji"), "127.0.0.1", port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert b"blockcache_gpu_memory_bytes" in answer.read()
    finally:
        server.shutdown()
        server.server_close()


def test_a_taken_port_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve(WorkerMetrics("emoji"), "127.0.0.1", taken.getsockname()[1])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_there_is_no_temperature() -> None:
    assert value(WorkerMetrics("emoji"), "blockcache_gpu_temperature_celsius") is None
