"""What probes are told about a worker."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from workers.health import trouble
from workers.telemetry import WorkerMetrics, serve

if TYPE_CHECKING:
    from collections.abc import Iterator


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def metrics() -> WorkerMetrics:
    return WorkerMetrics("emoji")


@pytest.fixture
def port(metrics: WorkerMetrics) -> Iterator[int]:
    port = a_free_port()
    server = serve(metrics, "127.0.0.1", port)
    yield port
    server.shutdown()
    server.server_close()


def probe(port: int, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workers.health", "--metrics-port", str(port), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_worker_that_announced_itself_is_ready(metrics: WorkerMetrics, port: int) -> None:
    metrics.published()

    assert probe(port).returncode == 0


def test_a_worker_that_has_not_announced_itself_is_starting(port: int) -> None:
    done = probe(port)

    assert (done.returncode, done.stderr) == (
        1, "The worker is not ready: it is still starting.\n",
    )  # fmt: skip


def test_a_worker_that_lost_the_store_is_not_ready(metrics: WorkerMetrics, port: int) -> None:
    metrics.published()

    why = trouble(f"http://127.0.0.1:{port}/metrics", max_age_s=-1.0)

    assert why == "it has not reached the store for 0 s"


def test_where_no_worker_runs_nothing_is_ready() -> None:
    done = probe(a_free_port())

    assert done.returncode == 1
    assert "its metrics do not answer" in done.stderr
