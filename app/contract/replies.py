"""What the store's scripts and keys answer."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from app.contract.cards import WorkerCard
from app.contract.errors import AlreadyAccepted, DecodeError, KeyReused
from app.contract.jobs import Failure, JobState, Result
from app.contract.lanes import Lane
from app.contract.line import Line, Queued
from app.contract.ports import Backlog, JobEvent, JobStatus
from schedules.sharing import Arrival, Waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.jobs import Outcome

REUSED = -3
REUSED_WORDS = "this idempotency key was used for another request"

log = logging.getLogger(__name__)


def accepted(reply: int | bytes) -> int:
    """Return the deadline (unix ms); raises KeyReused or AlreadyAccepted."""
    if reply == REUSED:
        raise KeyReused(REUSED_WORDS)
    if isinstance(reply, bytes):
        raise AlreadyAccepted(reply.decode())
    return reply


def event(event_id: bytes, fields: dict[bytes, bytes]) -> JobEvent:
    """Read one entry of a job's stream."""
    values = {name.decode(): value.decode() for name, value in fields.items()}
    return JobEvent(
        id=event_id.decode(),
        name=values["event"],
        attempt=int(values["attempt"]),
        step=int(values["step"]),
        steps=int(values["steps"]),
        predicted_ms=float(values["predicted_ms"]),
    )


def outcome(state: bytes, payload: bytes) -> Outcome:
    """Read how a job ended: a result when it is done, a failure otherwise."""
    kind = Result if state.decode() == JobState.DONE else Failure
    return kind.decode(payload)


def status(job_id: str, found: list[Any]) -> JobStatus:
    """Read what the status script says of a job."""
    state, model, *numbers, payload, position = found
    attempt, step, steps, created, deadline = (int(number) for number in numbers)
    return JobStatus(
        id=job_id,
        model=model.decode(),
        state=JobState(state.decode()),
        attempt=attempt,
        step=step,
        steps=steps,
        position=position if position >= 0 else None,
        created_unix_ms=created,
        deadline_unix_ms=deadline,
        outcome=outcome(state, payload) if payload else None,
    )


def line(
    now_unix_ms: int, rows: Sequence[Sequence[Any]], arrivals: Sequence[bytes], workers: int = 1
) -> Line:
    """Read who waits in a lane."""
    # Lists, not generators: this is done for every turn and batch, with some thirty arrivals each.
    came = [
        Arrival(float(now_unix_ms - at), images, budget_ms, met_others)
        for at, images, budget_ms, met_others in map(_came, arrivals)
    ]
    return Line(tuple([_queued(*row) for row in rows]), tuple(came), workers)


def backlogs(
    now_unix_ms: int, arrivals: Sequence[bytes], works: Sequence[Any], *rows: Sequence[Any]
) -> list[Backlog]:
    """Read who waits in a lane, with the work before each of several deadlines."""
    seen = line(now_unix_ms, rows, arrivals)
    pairs = zip(works[::2], works[1::2], strict=True)
    return [Backlog(jobs, float(work_ms), seen) for jobs, work_ms in pairs]


def _queued(
    job_id: bytes,
    batch_class: bytes,
    left_ms: int,
    images: int,
    quality: bytes | None,
    floor: bytes | None,
    predicted_ms: bytes,
) -> Queued:
    waiting = Waiting(left_ms, images, float(quality or 1), float(floor or 0))
    return Queued(job_id.decode(), batch_class.decode(), waiting, float(predicted_ms))


@lru_cache(maxsize=1024)
def _came(text: bytes) -> tuple[int, int, float, bool]:
    """Read an entry that is shown to many requests before it is forgotten."""
    came, images, budget_ms, met_others = text.decode().split(":")
    return int(came), int(images), float(budget_ms), met_others == "1"


def depths(found: Sequence[Any]) -> dict[Lane, Backlog]:
    """Read how much is queued in each lane."""
    rows = zip(found[::3], found[1::3], found[2::3], strict=True)
    return {Lane.named(name.decode()): Backlog(jobs, float(ms)) for name, jobs, ms in rows}


def card(payload: bytes) -> WorkerCard | None:
    """Read a worker's card, None when this version cannot."""
    try:
        return WorkerCard.decode(payload)
    except DecodeError as error:
        log.warning("a worker's card was left out: %s", error)
        return None
