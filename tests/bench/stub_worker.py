"""A worker whose pictures are made up: `python -m tests.bench.stub_worker ENGINE STORE_URL`.

Everything else is the real worker's: its loop, leases, choice of batches and plans, and pace. A
step of the engine `timed` takes what the costs of its computed units say; `nothing` has no steps.
"""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from app.contract.cards import WorkerCard
from app.contract.settings import QueueSettings
from app.contract.worker_queue import RedisWorkerQueue
from schedules.schedule import Counts, Work, work_of
from tests import bundled
from tests.bench import engines
from tests.bench.work import MOST_AT_ONCE, STRAY
from workers.batch import Desk
from workers.calibration_files import FOLDER, load_corrections
from workers.errors import Stopped
from workers.images import to_png
from workers.loop import WorkerLoop
from workers.loop_settings import LoopSettings
from workers.rendering import Rendered
from workers.telemetry import WorkerMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schedules.cost import CostModel, StageCosts
    from schedules.schedule import Row, Schedule
    from schedules.units import UnitGraph
    from workers.pipeline import Model
    from workers.rendering import ToFile
    from workers.sampler import Between, Frame, OnStep, Prompt

PIXELS = np.zeros((8, 8, 3), np.uint8)
PICTURE = to_png(PIXELS)
NO_MS = 1e-3  # a run that took none at all would be no measurement


@dataclass(frozen=True, slots=True)
class StubModel:
    """What the worker asks of a model beside pictures."""

    name: str
    revision: str


class StubRun:
    """Tells which row each step follows, as a run with a cache does."""

    def __init__(self, schedule: Schedule, graph: UnitGraph) -> None:
        self._work = list(schedule.work(graph))
        self._graph = graph
        self._step = 0

    def row(self, step: int) -> tuple[Work, ...]:
        self._step = step
        return self._work[step]

    def follow(self, row: Row) -> None:
        self._work[self._step + 1] = work_of(row, self._graph)

    def counts(self) -> Counts:
        flat = [work for row in self._work for work in row]
        return Counts(flat.count(Work.COMPUTED), flat.count(Work.REUSED), flat.count(Work.SKIPPED))


def nothing(_model: Model, prompts: Sequence[Prompt], *_: Any) -> Rendered:
    """Take the place of `workers.rendering.render`, with a picture that is there already."""
    return Rendered((PICTURE,) * len(prompts), Counts(), 0.0, NO_MS, 0.0, 0.0)


class TimedRender:
    """Takes the place of `workers.rendering.render`, and as long as the costs say."""

    def __init__(self, costs: CostModel, graph: UnitGraph) -> None:
        self._costs = costs
        self._graph = graph
        self._chance = random.Random(0)  # noqa: S311 a stray, not a secret

    def __call__(
        self, _model: Model, prompts: Sequence[Prompt], frame: Frame, on_step: OnStep,
        _on_denoised: Any, to_file: ToFile, _graphs: Any, between: Between,
    ) -> Rendered:  # fmt: skip
        began_s, stage = time.monotonic(), self._costs.at(len(prompts))
        self._stretch = self._chance.lognormvariate(0, STRAY)
        self._due_s = self._marked_s = time.perf_counter()
        encode_ms = self._take(stage.encode_ms)
        denoise_ms, counts = self._denoise(stage, frame.schedule, on_step, between)
        decode_ms = self._take(stage.decode_ms)
        images = tuple(to_file(row, PIXELS) for row in range(len(prompts)))
        png_ms = self._take(stage.png_ms)
        return Rendered(images, counts, encode_ms, denoise_ms, decode_ms, png_ms, began_s=began_s)

    def _denoise(
        self, stage: StageCosts, schedule: Schedule, on_step: OnStep, between: Between
    ) -> tuple[float, Counts]:
        run, took_ms = StubRun(schedule, self._graph), self._take(stage.start_ms)
        for step in range(schedule.steps):
            units = zip(run.row(step), stage.unit_ms, strict=True)
            took_ms += self._take(
                stage.fixed_ms + sum(ms for work, ms in units if work is Work.COMPUTED)
            )
            if not on_step(step, cast("Any", run), cast("Any", None)):
                raise Stopped
            if step + 1 < schedule.steps and (other := between(step)):
                self._aside(other)
        return took_ms, run.counts()

    def _aside(self, other: Callable[[], None]) -> None:
        stretch, ahead_s = self._stretch, self._due_s - time.perf_counter()
        other()
        self._marked_s = time.perf_counter()
        self._stretch, self._due_s = stretch, self._marked_s + ahead_s

    def _take(self, ms: float) -> float:
        """Return once all work so far would be done, and how long that was after the last time."""
        self._due_s += ms * self._stretch / 1000
        time.sleep(max(0.0, self._due_s - time.perf_counter()))
        before_s, self._marked_s = self._marked_s, time.perf_counter()
        return (self._marked_s - before_s) * 1000


def _loop(engine: str, store_url: str) -> WorkerLoop:
    book, costs, worker = engines.book(), engines.costs(engine), f"stub-{os.getpid()}"
    card = WorkerCard(
        worker=worker, model=book.model, revision=book.revision, width=book.width,
        height=book.height, device="cpu", dtype="float32", book=book.digest, costs=costs,
        max_batch=MOST_AT_ONCE,
    )  # fmt: skip
    render = nothing if engine == "nothing" else TimedRender(costs, book.graph)
    model = cast("Model", StubModel(book.model, book.revision))
    corrections = load_corrections(bundled.FOLDER / FOLDER, book)
    desk = Desk(worker, model, book, costs, corrections, render=render)
    queue = RedisWorkerQueue.connect(store_url, QueueSettings())
    # It could not make a picture for itself, and knows how fast it is.
    settings = LoopSettings(probe_s=math.inf)
    return WorkerLoop(queue, desk, card, WorkerMetrics(book.model), settings)


def main(engine: str, store_url: str) -> None:
    loop = _loop(engine, store_url)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=loop.stop).start())
    loop.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
