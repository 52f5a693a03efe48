from __future__ import annotations

from dataclasses import replace

import pytest

from tests.table_rows import CLOSE
from workers.evaluating.frontier import Point, Reached, verdicts


def a_point(lead_db: float, ratio: float) -> Point:
    ahead = replace(CLOSE, psnr_db=CLOSE.psnr_db + lead_db, distance=CLOSE.distance * ratio)
    return Point(100.0, Reached("plan", 100.0, ahead), Reached("9 steps", 99.0, CLOSE))


@pytest.mark.parametrize(
    ("points", "kept"),
    [
        ([a_point(2.0, 0.8), a_point(0.0, 1.0)], [True, True]),
        ([a_point(2.0, 0.8), a_point(-0.1, 1.1)], [False, False]),
        ([a_point(1.9, 0.8), a_point(0.0, 1.0)], [False, True]),
        ([a_point(3.0, 0.9), a_point(3.0, 0.9)], [True, False]),
    ],
    ids=["both", "below at one time", "nearer only", "sharper only"],
)
def test_a_book_is_never_below_fewer_steps_and_clearly_above_at_half_of_the_times(
    points: list[Point], kept: list[bool]
) -> None:
    assert [verdict.kept for verdict in verdicts(points)] == kept


def test_a_time_in_which_no_uncached_run_fits_counts_for_the_book() -> None:
    alone = replace(a_point(0.0, 1.0), fewer=None)

    assert [verdict.kept for verdict in verdicts([alone, a_point(0.0, 1.0)])] == [True, True]
