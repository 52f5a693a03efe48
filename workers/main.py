"""The composition root of a worker process: model, plan book, costs, queue, metrics, loop."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import threading
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from app.contract.cards import WorkerCard
from app.contract.settings import QueueSettings
from app.contract.tracing import open_tracing
from app.contract.worker_queue import RedisWorkerQueue
from workers.batch import Desk
from workers.batch_sizes import Sized, measure_sizes
from workers.calibration_files import FOLDER, load_book, load_corrections
from workers.capturing import CudaCapturer
from workers.colouring import colours_of
from workers.errors import CalibrationError, ModelError
from workers.graphs import Graphs
from workers.job_traces import JobTraces
from workers.loop import WorkerLoop
from workers.loop_settings import LoopSettings
from workers.memory import CudaMeter, measure_memory
from workers.pipeline import load
from workers.telemetry import WorkerMetrics, serve
from workers.threads import settle_threads
from workers.warming import record, warm_up

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.tracing import Tracing
    from schedules.book import PlanBook
    from workers.pipeline import Model

log = logging.getLogger(__name__)
COSTS_S = 0.6
SERVICE = "blockcache-worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker is told. `max_batch` None means as many as are worth it, `dtype` what suits.

    Port 0: no metrics. `graphs`: whether steps are recorded as CUDA graphs, where there is CUDA.
    `nice`: by how much it yields the processor to others.
    """

    model: str
    store_url: str
    plans: Path | None = None
    size: tuple[int, int] | None = None
    max_batch: int | None = None
    threads: int | None = None
    dtype: str | None = None
    graphs: bool = True
    nice: int = 0
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    otlp_endpoint: str | None = None
    queue: QueueSettings = field(default_factory=QueueSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)


def run(settings: WorkerSettings) -> None:
    """Load, measure, warm up, then serve until SIGTERM or SIGINT.

    Raises ModelError, CalibrationError or TracingUnavailable in one sentence when the worker cannot
    start.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    with closing(open_tracing(settings.otlp_endpoint, SERVICE)) as tracing:
        _serve(settings, tracing)


def _serve(settings: WorkerSettings, tracing: Tracing) -> None:
    os.nice(settings.nice)  # first: each thread has the priority of the one that starts it
    if settings.threads:
        torch.set_num_threads(settings.threads)
    dtype = None if settings.dtype is None else getattr(torch, settings.dtype)
    model = load(settings.model, dtype=dtype)
    if not settings.threads:
        log.info("CPU threads: %d", settle_threads(model))
    metrics = WorkerMetrics(model.name)
    if settings.metrics_port:
        _serve_metrics(metrics, settings)
    desk, card = prepare(model, settings)
    record(desk)
    took = warm_up(desk)
    desk = replace(desk, colours=colours_of(desk))
    queue = RedisWorkerQueue.connect(settings.store_url, settings.queue)
    loop = WorkerLoop(queue, desk, card, metrics, settings.loop, took, JobTraces(tracing))
    for number in (signal.SIGTERM, signal.SIGINT):
        # A thread of its own: a handler may interrupt the loop inside a lock that `stop` needs.
        signal.signal(number, lambda *_: threading.Thread(target=loop.stop).start())
    log.info("ready: %s on %s", card.model, card.device)
    loop.run()
    queue.close()


def _serve_metrics(metrics: WorkerMetrics, settings: WorkerSettings) -> None:
    try:
        serve(metrics, settings.metrics_host, settings.metrics_port)
    except OSError as error:
        raise ModelError(
            f"metrics port {settings.metrics_port} is taken; choose another with --metrics-port"
        ) from error


def prepare(model: Model, settings: WorkerSettings) -> tuple[Desk, WorkerCard]:
    """Read the plan book and its corrections, and measure what its plans cost here."""
    width, height = settings.size or (model.native_size, model.native_size)
    folder = settings.plans or model.folder / FOLDER
    book = checked_book(model, folder, width, height)
    corrections = {
        name: correction.to(model.device, model.dtype)
        for name, correction in load_corrections(folder, book).items()
    }
    guidance_scale = float(book.made.get("guidance_scale", 7.5))
    meter = CudaMeter(model.device) if model.device.type == "cuda" else None
    sized = Sized(width, height, guidance_scale, COSTS_S)
    costs = measure_sizes(model, sized, meter, settings.max_batch)
    shape = (model, width, height, guidance_scale, [size for size, _ in costs.by_batch])
    memory = None if meter is None else measure_memory(*shape, meter)
    worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    card = WorkerCard(
        worker=worker,
        model=model.name,
        revision=model.revision,
        width=width,
        height=height,
        device=str(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
        book=book.digest,
        costs=costs,
        max_batch=costs.largest,
    )
    graphs = _graphs(model.device, wanted=settings.graphs)
    return Desk(worker, model, book, costs, corrections, graphs=graphs, memory=memory), card


def _graphs(device: torch.device, *, wanted: bool) -> Graphs:
    return Graphs(CudaCapturer(device) if wanted and device.type == "cuda" else None)


def checked_book(model: Model, folder: Path, width: int, height: int) -> PlanBook:
    """Return the plan book of this model; raises CalibrationError when it is another's."""
    book = load_book(folder, width, height)
    if (book.revision, book.graph) != (model.revision, model.units.graph):
        raise CalibrationError(
            f"the plan book in {folder} was made for other weights than {model.name} "
            f"{model.revision}: run blockcache calibrate again"
        )
    return book
