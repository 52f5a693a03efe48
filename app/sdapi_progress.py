"""How far a job is, in the words of AUTOMATIC1111's clients."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.sdapi_schemas import ProgressResponse, ProgressState

if TYPE_CHECKING:
    from app.contract.ports import JobStatus

# Clients take 0 for "nothing is going on".
LEAST_PROGRESS = 0.01


def of(status: JobStatus, now_unix_ms: float, seen: bytes | None = None) -> ProgressResponse:
    """Describe an unfinished job; `seen` is its latest preview."""
    done = status.step / status.steps
    return ProgressResponse(
        progress=round(max(LEAST_PROGRESS, done), 4),
        eta_relative=round(eta_s(status, now_unix_ms), 3),
        state=_state(status),
        current_image=None if seen is None else b64encode(seen).decode("ascii"),
    )


def eta_s(status: JobStatus, now_unix_ms: float) -> float:
    """Return the seconds a job will still take at its pace so far, at most those promised."""
    promised_s = max(0.0, (status.deadline_unix_ms - now_unix_ms) / 1000)
    if not status.step:
        return promised_s
    passed_s = (now_unix_ms - status.created_unix_ms) / 1000
    return min(promised_s, passed_s * (status.steps - status.step) / status.step)


def _state(status: JobStatus) -> ProgressState:
    created = datetime.fromtimestamp(status.created_unix_ms / 1000, UTC)
    return ProgressState(
        job=status.id,
        job_count=1,
        job_timestamp=created.strftime("%Y%m%d%H%M%S"),
        sampling_step=status.step,
        sampling_steps=status.steps,
    )
