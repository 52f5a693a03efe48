"""What goes on in the service now: the workers, the queue, the last minutes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import Response

from app import recent
from app.routes import Serving, body
from app.schemas import Message

if TYPE_CHECKING:
    from app.contract.cards import WorkerCard

router = APIRouter()


class WorkerBody(Message):
    """A live worker; `busy_ms` is how long it will still work on what it has."""

    worker: str
    model: str
    width: int
    height: int
    device: str
    dtype: str
    max_batch: int
    ready: bool
    busy_ms: float


class QueueBody(Message):
    """Jobs for a model at a size that wait, and the time they will take."""

    model: str
    width: int
    height: int
    jobs: int
    work_ms: float


class BucketBody(Message):
    """Counts of a few seconds: pictures, requests by whether they were in time, block executions.

    `lost` counts accepted requests that got no picture.
    """

    at_unix_s: int
    images: int
    in_time: int
    late: int
    lost: int
    computed: int
    reused: int
    skipped: int


class RecentBody(Message):
    """What this gateway saw in the last `window_s` seconds; empty stretches are left out."""

    window_s: int
    bucket_s: int
    buckets: list[BucketBody]


class StatusBody(Message):
    """The service as it is now, by the store's clock."""

    now_unix_ms: int
    workers: list[WorkerBody]
    queue: list[QueueBody]
    dead_letters: int
    recent: RecentBody


@router.get("/status", response_model=StatusBody)
async def status(service: Serving) -> Response:
    """Tell who works, what waits, and what this gateway saw in the last minutes."""
    queue = service.queue
    now_unix_ms, cards = await queue.now_unix_ms(), await queue.cards()
    depths = await queue.depths()
    waiting = [
        QueueBody(**asdict(lane), jobs=backlog.jobs, work_ms=backlog.work_ms)
        for lane, backlog in depths.items()
    ]
    return body(
        StatusBody(
            now_unix_ms=now_unix_ms,
            workers=[_worker(card, now_unix_ms) for card in cards],
            queue=waiting,
            dead_letters=await queue.dead_letters(),
            recent=_recent(service.telemetry.recent),
        )
    )


def _worker(card: WorkerCard, now_unix_ms: int) -> WorkerBody:
    named = WorkerBody.model_fields.keys() - {"busy_ms"}
    busy_ms = float(max(card.busy_until_unix_ms - now_unix_ms, 0))
    return WorkerBody(**{name: getattr(card, name) for name in named}, busy_ms=busy_ms)


def _recent(seen: recent.Recent) -> RecentBody:
    buckets = [BucketBody(**asdict(bucket)) for bucket in seen.buckets()]
    return RecentBody(window_s=recent.WINDOW_S, bucket_s=recent.BUCKET_S, buckets=buckets)
