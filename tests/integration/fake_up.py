"""`blockcache up` with a worker that needs no model: run as `fake_up PORT DIRECTORY [dying]`."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import click

from app.contract.settings import QueueSettings
from app.errors import GatewayError
from app.up import own_processes, run_all
from tests.integration.fake_worker import FakeWorker

ITSELF = (sys.executable, "-m", "tests.integration.fake_up")
DYING = (sys.executable, "-c", "import sys; print('no such model'); sys.exit(3)")


def up(port: int, directory: Path, *, dying: bool) -> None:
    def processes(store_url: str) -> dict[str, tuple[str, ...]]:
        worker = DYING if dying else (*ITSELF, "worker", store_url)
        own = {name: tuple(line) for name, line in own_processes(port, "emoji", store_url).items()}
        return {**own, "worker": worker}

    run_all(port, directory, processes)


def work(store_url: str) -> None:
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    with FakeWorker(store_url, QueueSettings()):
        told.wait()


def main(first: str, second: str, *rest: str) -> None:
    if first == "worker":
        work(second)
        return
    try:
        up(int(first), Path(second), dying="dying" in rest)
    except GatewayError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
