"""Starts real worker loops at once: torch and a tiny model are loaded once, then it forks.

Run as `nursery STORE_URL FOLDER [UNIT_MS]`: the last is how slow they take themselves to be. Each
line on stdin names a worker to start, each line on stdout
is the process id of one. When stdin ends, all of them end.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from app.contract.settings import QueueSettings
from app.contract.worker_queue import RedisWorkerQueue
from tests.builders import a_card
from tests.tiny_books import book_for, costs_for
from tests.tiny_models import load_tiny
from workers.batch import Desk
from workers.loop import WorkerLoop
from workers.loop_settings import LoopSettings
from workers.telemetry import WorkerMetrics

if TYPE_CHECKING:
    from workers.pipeline import Model

# A lease shorter than the faults, so that they do cost leases, and attempts enough for all of them.
QUEUE = QueueSettings(lease_ms=1500, max_attempts=20)
LOOP = LoopSettings(claim_wait_s=0.5, heartbeat_s=0.5, store_retry_s=0.1, stall_s=5.0)
STEPS = 12  # long enough for workers to be caught in the middle of a run


def work(model: Model, name: str, store_url: str, unit_ms: float) -> None:
    """Serve until killed."""
    desk = Desk(name, model, book_for(model, STEPS), costs_for(model, unit_ms))
    card = a_card(
        name,
        model=model.name,
        revision=model.revision,
        width=model.native_size,
        height=model.native_size,
        book=desk.book.digest,
        costs=desk.costs,
    )
    queue = RedisWorkerQueue.connect(store_url, QUEUE)
    WorkerLoop(queue, desk, card, WorkerMetrics(model.name), LOOP).run()


def main(store_url: str, folder: str, unit_ms: str = "0.01") -> None:
    torch.set_num_threads(1)
    model = load_tiny("sd1", Path(folder))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    started = []
    for line in sys.stdin:
        child = os.fork()
        if not child:
            sys.stdin.close()
            work(model, line.strip(), store_url, float(unit_ms))
            os._exit(0)
        started.append(child)
        print(child, flush=True)  # noqa: T201 that is how it answers
    for child in started:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
