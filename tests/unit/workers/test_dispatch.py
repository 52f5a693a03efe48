"""What a worker takes when it is shown the line."""

from __future__ import annotations

from app.contract.line import Line, Queued
from schedules.ladder import Ladder
from schedules.pausing import Underway
from schedules.sharing import Arrival, Waiting
from workers.dispatch import Dispatch, Sooner

LADDER = Ladder.measured([0.5, 1.0], [(100.0, 110.0, 120.0), (200.0, 220.0, 240.0)])


def queued(name: str, left_ms: float = 5000.0, batch_class: str = "a") -> Queued:
    return Queued(name, batch_class, Waiting(left_ms), 200.0)


def test_jobs_of_the_class_of_the_most_urgent_run_together() -> None:
    dispatch = Dispatch(LADDER)
    line = Line((queued("1"), queued("2", 6000.0, "b"), queued("3", 7000.0)))

    assert dispatch(line) == ["1", "3"]


def test_who_can_no_longer_be_in_time_lets_others_go_first() -> None:
    assert Dispatch(LADDER)(Line((queued("late", 10.0, "b"), queued("in time", 300.0)))) == [
        "in time"
    ]


def test_the_aim_is_up_when_the_line_is_empty_behind_the_batch() -> None:
    dispatch = Dispatch(LADDER)
    dispatch(Line((queued("1"),)))

    assert (dispatch.aim.up, dispatch.aim.limit) == (True, float("inf"))


def test_the_aim_is_limited_by_those_behind() -> None:
    dispatch = Dispatch(LADDER)
    dispatch(Line((queued("1", 250.0), queued("2", 330.0, "b"))))

    assert (dispatch.aim.up, dispatch.aim.limit) == (False, 0.5)


def test_the_aim_is_limited_by_those_who_keep_coming() -> None:
    dispatch = Dispatch(LADDER)
    came = tuple(Arrival(age_ms, 1, 200.0) for age_ms in (400.0, 300.0, 200.0, 100.0))
    dispatch(Line((queued("1"),), came))

    assert dispatch.aim.limit == 0.5


def test_a_batch_that_can_be_paused_leaves_no_time_for_those_who_come_before_it() -> None:
    came = tuple(Arrival(age_ms, 1, 200.0) for age_ms in (400.0, 300.0, 200.0, 100.0))
    pausing, full = (Dispatch(LADDER, room=lambda images: 3 - images) for _ in range(2))
    pausing(Line((queued("1"),), came))
    full(Line((Queued("1", "a", Waiting(5000.0, 3), 200.0),), came))

    assert (pausing.aim.limit, full.aim.limit) == (float("inf"), 0.5)


RUN = Underway.predicted(2000.0, 900.0)


def test_those_of_one_class_with_earlier_deadlines_come_before_a_run() -> None:
    line = (queued("1", 300.0), queued("2", 310.0, "b"), queued("3", 320.0), queued("4", 3000.0))

    assert Sooner(LADDER, RUN)(Line(line)) == ["1", "3"]


def test_nobody_with_a_later_deadline_comes_before_a_run() -> None:
    assert Sooner(LADDER, RUN)(Line((queued("1", 2500.0),))) == []


def test_who_can_no_longer_be_in_time_does_not_come_before_a_run() -> None:
    line = Line((queued("late", 10.0, "b"), queued("in time", 300.0)))

    assert Sooner(LADDER, RUN)(line) == ["in time"]
