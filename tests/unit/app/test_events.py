"""What those who follow a job are told."""

from __future__ import annotations

import pytest

from app.contract.ports import JobEvent
from app.events import Event, describe, predicted_left_ms


def test_an_event_travels_as_one_block_of_lines() -> None:
    event = Event("step", {"step": 1, "text": "a\nb"}, "17-0")

    assert event.encode() == b'id: 17-0\nevent: step\ndata: {"step":1,"text":"a\\nb"}\n\n'


def test_what_the_store_does_not_keep_has_no_id() -> None:
    assert b"id:" not in Event("queued", {}).encode()


@pytest.mark.parametrize(
    ("event_id", "after", "is_after"),
    [
        ("17-1", "17-0", True),
        ("17-0", "17-0", False),
        ("9-0", "10-0", False),
        ("17-10", "17-9", True),
        ("17-0", "", True),
        ("", "17-0", True),
    ],
)
def test_events_are_ordered_by_number(event_id: str, after: str, is_after: bool) -> None:
    assert Event("step", {}, event_id).is_after(after) is is_after


def test_the_time_left_is_as_promised_while_the_run_keeps_its_pace() -> None:
    assert predicted_left_ms(step=5, steps=20, predicted_ms=400, elapsed_ms=90) == 300


def test_the_time_left_goes_by_the_pace_of_a_slower_run() -> None:
    assert predicted_left_ms(step=5, steps=20, predicted_ms=400, elapsed_ms=200) == 600


def test_a_run_beyond_its_steps_has_no_time_left() -> None:
    assert predicted_left_ms(step=21, steps=20, predicted_ms=400, elapsed_ms=500) == 0


def test_a_step_tells_how_far_the_job_is() -> None:
    told = describe(JobEvent("5-0", "step", 1, 2, 8, 80.0), None, elapsed_ms=10)

    assert told.name == "step"
    assert told.data == {
        "state": "running", "attempt": 1, "step": 2, "steps": 8, "predicted_left_ms": 60.0,
    }  # fmt: skip


def test_a_dead_letter_is_told_as_failed() -> None:
    assert describe(JobEvent("5-0", "dead", 3, 2, 8, 80.0), None, 0).name == "failed"
