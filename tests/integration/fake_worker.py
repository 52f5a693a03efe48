"""A worker without a model: claims from a real queue and answers with a real, tiny PNG."""

from __future__ import annotations

import struct
import threading
import time
import zlib
from typing import TYPE_CHECKING

import numpy as np

from app.contract.jobs import Failure, Reason
from app.contract.worker_queue import RedisWorkerQueue
from tests.builders import a_book, a_card, a_result
from workers.encoding import to_file

if TYPE_CHECKING:
    from app.contract.cards import WorkerCard
    from app.contract.jobs import Job
    from app.contract.line import Line
    from app.contract.ports import Claimed
    from app.contract.settings import QueueSettings
    from schedules.book import PlanBook

CLAIM_WAIT_S = 0.1
PREVIEW_SEED = 100


def a_png(seed: int, width: int = 8, height: int = 8) -> bytes:
    """Return a valid picture of one grey that depends on the seed."""
    grey = bytes([seed % 256])
    rows = b"".join(b"\0" + grey * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def a_file(claim: Claimed, seed: int) -> bytes:
    """Return the same picture, encoded as the job asks."""
    encoding = claim.job.encoding
    if encoding.format == "png":
        return a_png(seed)
    return to_file(np.full((8, 8, 3), seed % 256, np.uint8), encoding)


class FakeWorker:
    """Serves until closed. While `gate` is closed it holds what it claimed, one step finished.

    It hears of a cancellation only while `listening`. `delay_s` makes it slow; `failing` makes it
    fail every job with that reason.
    """

    def __init__(
        self,
        url: str,
        settings: QueueSettings,
        card: WorkerCard | None = None,
        book: PlanBook | None = None,
        failing: Reason | None = None,
    ) -> None:
        self.card = card or a_card()
        self.book = book or a_book()
        self.failing = failing
        self.delay_s = 0.0
        self.gate = threading.Event()
        self.gate.set()
        self.holding = threading.Event()
        self.listening = threading.Event()
        self.listening.set()
        self.claimed: list[Job] = []
        self.cancelled: list[str] = []
        self._queue = RedisWorkerQueue.connect(url, settings)
        self._publishing = threading.Lock()  # else an older card may be written after a newer one
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FakeWorker:
        self.publish()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.gate.set()
        self.listening.set()
        self._thread.join(10)
        self._queue.retire(self.card.worker)
        self._queue.close()

    def publish(self) -> None:
        with self._publishing:
            self._queue.publish(self.card, self.book)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.publish()
            for claim in self._queue.claim(self.card.lane, self.card.worker, _first, CLAIM_WAIT_S):
                self._serve(claim)

    def _serve(self, claim: Claimed) -> None:
        self.claimed.append(claim.job)
        wanted = self._queue.report([claim], 1)
        for number in range(claim.job.previews):
            self._queue.preview(claim, number, a_file(claim, PREVIEW_SEED + number))
        self.holding.set()
        until = time.monotonic() + self.delay_s
        while wanted and (time.monotonic() < until or not self.gate.wait(0.02)):
            self.listening.wait()
            wanted = self._queue.report([claim], 1)
        self.holding.clear()
        if claim.job.id not in wanted:
            self.cancelled.append(claim.job.id)
            self._fail(claim, Reason.CANCELLED, "cancelled by the caller")
        elif self.failing:
            self._fail(claim, self.failing, "it went wrong")
        else:
            images = [a_file(claim, seed) for seed in claim.job.seeds]
            self._queue.finish(claim, a_result(claim, self.card.worker), images)

    def _fail(self, claim: Claimed, reason: Reason, detail: str) -> None:
        self._queue.fail(claim, Failure(claim.job.id, reason, detail), retry=False)


def _first(line: Line) -> list[str]:
    return [line.queued[0].id]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
