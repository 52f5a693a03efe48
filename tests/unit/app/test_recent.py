"""Counts of the last minutes."""

from __future__ import annotations

from app.recent import BUCKET_S, WINDOW_S, Recent
from schedules.schedule import Counts
from tests.builders import a_job, a_result


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_what_happens_in_one_stretch_is_added_up() -> None:
    recent = Recent(Clock())
    result = a_result(a_job(), cache=Counts(1, 2, 3))
    recent.finished(result, met=True)
    recent.finished(result, met=False)
    recent.lost()

    (bucket,) = recent.buckets()
    assert (bucket.images, bucket.in_time, bucket.late, bucket.lost) == (2, 1, 1, 1)
    assert (bucket.computed, bucket.reused, bucket.skipped) == (2, 4, 6)


def test_another_stretch_is_counted_apart() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.lost()
    clock.now_s += BUCKET_S
    recent.lost()

    assert [bucket.at_unix_s for bucket in recent.buckets()] == [1000, 1000 + BUCKET_S]


def test_what_is_long_over_is_forgotten() -> None:
    clock = Clock()
    recent = Recent(clock)
    recent.lost()
    clock.now_s += WINDOW_S + BUCKET_S

    assert recent.buckets() == ()
