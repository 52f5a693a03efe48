"""From what happened to a job to what those who follow it are told (server-sent events)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app import answers
from app.contract.jobs import FINAL_STATES, JobState

if TYPE_CHECKING:
    from app.contract.ports import JobEvent, JobStatus

# The two jobs' states that are told by other names; the rest keep theirs.
NAMES: dict[str, str] = {JobState.DONE: "finished", JobState.DEAD: "failed"}
PREVIEW = "preview"
EVENT_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it is sent. Only what the store keeps has an id and can be sent again."""

    name: str
    data: dict[str, Any]
    id: str = ""

    def encode(self) -> bytes:
        """Return the event as it travels."""
        lines = [f"id: {self.id}"] if self.id else []
        lines += [f"event: {self.name}", f"data: {json.dumps(self.data, separators=(',', ':'))}"]
        return ("\n".join(lines) + "\n\n").encode()

    def is_after(self, event_id: str) -> bool:
        """Whether it came after the event of that id; what has no id is always news."""
        return not (self.id and event_id) or _order(self.id) > _order(event_id)


def describe(event: JobEvent, status: JobStatus | None, elapsed_ms: float, url: str = "") -> Event:
    """Say what happened; `status`, where it is known, is that of the job right after it.

    `elapsed_ms` is the time since the job began to run, `url` where a preview is.
    """
    if status is not None and status.state == event.name:
        return snapshot(status, event.id)
    name = NAMES.get(event.name, event.name)
    if event.name in FINAL_STATES or event.name == JobState.QUEUED:
        return Event(name, {"state": event.name, "attempt": event.attempt}, event.id)
    if event.name == PREVIEW:
        where = {"attempt": event.attempt, "step": event.step, "steps": event.steps}
        return Event(name, {"state": JobState.RUNNING.value, **where, "url": url}, event.id)
    left_ms = predicted_left_ms(event.step, event.steps, event.predicted_ms, elapsed_ms)
    data = {
        "state": JobState.RUNNING.value,
        "attempt": event.attempt,
        "step": event.step,
        "steps": event.steps,
        "predicted_left_ms": left_ms,
    }
    return Event(name, data, event.id)


def snapshot(status: JobStatus, event_id: str = "") -> Event:
    """Say where a job is now: its place in the queue, its step, or all of how it ended."""
    name, state = NAMES.get(status.state, status.state.value), status.state
    if state in FINAL_STATES:
        return Event(name, answers.job(status).model_dump(mode="json"), event_id)
    data: dict[str, Any] = {"state": state.value, "attempt": status.attempt}
    if state is JobState.QUEUED:
        return Event(name, {**data, "position": status.position}, event_id)
    return Event(name, {**data, "step": status.step, "steps": status.steps}, event_id)


def predicted_left_ms(step: int, steps: int, predicted_ms: float, elapsed_ms: float) -> float:
    """Return how long a run still takes: as promised, or by its own pace when that is slower."""
    left = max(steps - step, 0)
    pace_ms = elapsed_ms / step if step else 0.0
    return round(left * max(predicted_ms / max(steps, 1), pace_ms), 1)


def _order(event_id: str) -> tuple[int, int]:
    ms, _, number = event_id.partition("-")
    return int(ms), int(number)
