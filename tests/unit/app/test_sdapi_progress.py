"""What a client of AUTOMATIC1111 reads of a job on its way."""

from __future__ import annotations

from typing import Any

from app import sdapi_progress
from app.contract.jobs import JobState
from app.contract.ports import JobStatus

NOW = 1_800_000_000_000


def a_status(**changes: Any) -> JobStatus:
    fields: dict[str, Any] = {
        "id": "job-1",
        "model": "emoji",
        "state": JobState.RUNNING,
        "attempt": 1,
        "step": 2,
        "steps": 8,
        "position": None,
        "created_unix_ms": NOW - 1000,
        "deadline_unix_ms": NOW + 9000,
        "outcome": None,
    }
    return JobStatus(**{**fields, **changes})


def test_progress_is_the_share_of_finished_steps() -> None:
    told = sdapi_progress.of(a_status(), NOW)
    assert (told.progress, told.state.sampling_step, told.state.sampling_steps) == (0.25, 2, 8)


def test_a_job_that_waits_has_begun_as_far_as_clients_can_tell() -> None:
    told = sdapi_progress.of(a_status(step=0, state=JobState.QUEUED), NOW)
    assert (told.progress, told.state.job_count) == (0.01, 1)


def test_the_rest_takes_as_long_a_step_as_those_before() -> None:
    assert sdapi_progress.of(a_status(), NOW).eta_relative == 3.0


def test_before_the_first_step_the_promise_is_the_best_guess() -> None:
    assert sdapi_progress.of(a_status(step=0), NOW).eta_relative == 9.0


def test_nobody_is_told_to_wait_longer_than_promised() -> None:
    slow = a_status(step=1, created_unix_ms=NOW - 8000, deadline_unix_ms=NOW + 2000)
    assert sdapi_progress.of(slow, NOW).eta_relative == 2.0
    assert sdapi_progress.of(a_status(deadline_unix_ms=NOW - 1), NOW).eta_relative == 0.0
