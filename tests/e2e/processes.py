"""A store, a gateway and any number of workers as the processes a user would start."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from app.client import Client
from app.store import EmbeddedStore
from tests.bundled import NAME, SIDE
from tests.integration.gateways import free_port, wait_until
from workers.calibration_files import CORRECTIONS, FOLDER, book_path, load_book
from workers.pipeline import BUNDLED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

START_S = 90.0
CLI = (sys.executable, "-m", "app.cli")


@dataclass(frozen=True, slots=True)
class Service:
    """Where everything listens, and how to start another worker."""

    url: str
    store_url: str
    worker_metrics_url: str
    worker: subprocess.Popen[bytes]
    folder: Path

    @contextmanager
    def another_worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start one more worker."""
        command = worker_command(self.store_url, free_port(), self.folder)
        with process(command, self.folder / "worker-2.log") as child:
            yield child

    def http(self) -> httpx.Client:
        """Return a plain HTTP client on the gateway."""
        return httpx.Client(base_url=self.url, timeout=120)


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    """Start store, gateway and one worker; wait until a picture can be made."""
    with ExitStack() as stack:
        store = stack.enter_context(EmbeddedStore())
        port, metrics_port = free_port(), free_port()
        gateway = ["gateway", "--store-url", store.url, "--port", str(port)]
        stack.enter_context(process(gateway, folder / "gateway.log"))
        write_quick_book(folder)
        command = worker_command(store.url, metrics_port, folder)
        worker = stack.enter_context(process(command, folder / "worker.log"))
        url = f"http://127.0.0.1:{port}"
        wait_ready(url)
        metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"
        yield Service(url, store.url, metrics_url, worker, folder)


@contextmanager
def asleep(running: Service) -> Iterator[None]:
    """Let the worker sleep, so that a job stays where it is."""
    running.worker.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        running.worker.send_signal(signal.SIGCONT)


def write_quick_book(folder: Path) -> None:
    """Write the bundled plan book without its long plans, so that tests stay short."""
    bundled = BUNDLED[NAME] / FOLDER
    book = load_book(bundled, SIDE, SIDE)
    shutil.copytree(bundled / CORRECTIONS, folder / CORRECTIONS)
    quick = book.with_plans([plan for plan in book.plans if plan.steps <= 6])
    book_path(folder, SIDE, SIDE).write_text(json.dumps(quick.to_dict()))


def worker_command(store_url: str, metrics_port: int, plans: Path) -> list[str]:
    """Return the arguments of a worker that measures little, to start soon."""
    options = ["--max-batch", "2", "--metrics-port", str(metrics_port), "--plans", str(plans)]
    return ["worker", "--model", NAME, "--store-url", store_url, *options]


@contextmanager
def process(arguments: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a sub-command with its output in `log`; ends it at the end."""
    with log.open("wb") as out:
        child = subprocess.Popen([*CLI, *arguments], stdout=out, stderr=out)
    try:
        yield child
    finally:
        child.terminate()
        child.wait(timeout=60)


def wait_ready(url: str) -> None:
    """Wait until the service says it is ready."""
    with Client(url) as client:
        wait_until(client.is_ready, START_S)
