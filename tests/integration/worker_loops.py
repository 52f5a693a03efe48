"""Runs real worker loops for tests, each in a thread of its own."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from app.contract.jobs import Failure, Result
from app.contract.tracing import OFF
from app.contract.worker_queue import RedisWorkerQueue
from tests.builders import a_card
from tests.tiny_books import book_for, costs_for, job_for
from workers.batch import Desk
from workers.graphs import Graphs
from workers.job_traces import JobTraces
from workers.loop import WorkerLoop
from workers.loop_settings import LoopSettings
from workers.telemetry import WorkerMetrics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from app.contract.gateway_queue import RedisGatewayQueue
    from app.contract.jobs import Job, JobState
    from app.contract.settings import QueueSettings
    from app.contract.tracing import Tracing
    from schedules.book import PlanBook
    from schedules.cost import CostModel
    from workers.pipeline import Model

MINUTE_MS = 60_000.0
LONG = 150
QUICK = LoopSettings(
    claim_wait_s=0.1, heartbeat_s=0.1, store_retry_s=0.05, upgrade=False, probe_s=3600
)


class Running:
    """A worker loop in a thread of its own."""

    def __init__(
        self,
        url: str,
        settings: QueueSettings,
        desk: Desk,
        patience: LoopSettings,
        tracing: Tracing = OFF,
    ):
        self.metrics = WorkerMetrics(desk.model.name)
        self._queue = RedisWorkerQueue.connect(url, settings)
        card = a_card(
            desk.worker,
            model=desk.model.name,
            revision=desk.model.revision,
            width=desk.book.width,
            height=desk.book.height,
            book=desk.book.digest,
            costs=desk.costs,
            ready=False,
        )
        self._loop = WorkerLoop(
            self._queue, desk, card, self.metrics, patience, traces=JobTraces(tracing)
        )
        self._thread = threading.Thread(target=self._loop.run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._loop.stop()

    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def close(self) -> None:
        self._loop.stop()
        self._thread.join(30)
        self._queue.close()

    def counted(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)


@contextmanager
def running(
    url: str,
    settings: QueueSettings,
    model: Model,
    book: PlanBook,
    patience: LoopSettings = QUICK,
    costs: CostModel | None = None,
    tracing: Tracing = OFF,
    graphs: Graphs | None = None,
) -> Iterator[Running]:
    """Run a worker for the length of the context."""
    desk = Desk("worker-1", model, book, costs or costs_for(model), graphs=graphs or Graphs())
    worker = Running(url, settings, desk, patience, tracing)
    try:
        yield worker
    finally:
        worker.close()


class Start:
    """Starts workers on the test's own queue."""

    def __init__(self, url: str, settings: QueueSettings, model: Model, book: PlanBook) -> None:
        self._where = (url, settings)
        self._what = (model, book)

    def __call__(
        self, patience: LoopSettings = QUICK, costs: CostModel | None = None
    ) -> AbstractContextManager[Running]:
        return running(*self._where, *self._what, patience, costs)


def long_job(model: Model) -> Job:
    """Return a job that can be caught while it runs."""
    return job_for(model, book_for(model, steps=LONG).plans[0])


async def submitted(queue: RedisGatewayQueue, job: Job) -> Job:
    await queue.submit(job, MINUTE_MS)
    return job


async def picture(queue: RedisGatewayQueue, job: Job, index: int = 0) -> np.ndarray:
    png = await queue.image(job.id, index)
    assert png is not None
    return pixels(png)


def pixels(png: bytes) -> np.ndarray:
    return np.array(Image.open(BytesIO(png))).astype(int)


async def result(queue: RedisGatewayQueue, job: Job) -> Result:
    outcome = await queue.wait(job.id, 30)
    assert isinstance(outcome, Result), outcome
    return outcome


async def failure(queue: RedisGatewayQueue, job: Job) -> Failure:
    outcome = await queue.wait(job.id, 30)
    assert isinstance(outcome, Failure), outcome
    return outcome


async def has_begun(queue: RedisGatewayQueue, job: Job) -> bool:
    status = await queue.status(job.id)
    return status is not None and status.step > 0


async def state(queue: RedisGatewayQueue, job: Job) -> JobState | None:
    status = await queue.status(job.id)
    return None if status is None else status.state
