from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.table_rows import CLOSE, a_row
from workers.evaluating.comparison import FEWER, UNCACHED
from workers.evaluating.lineup import PAPER, PLAIN, TWO_TAPS
from workers.evaluating.row_verdicts import made_in, ours_at, verdicts

if TYPE_CHECKING:
    from workers.evaluating.tables import Row


def scored(psnr_db: float, distance: float, **changes: Any) -> Row:
    return a_row(to_uncached=replace(CLOSE, psnr_db=psnr_db, distance=distance), **changes)


def kept(asked: str, *rows: Row) -> bool | None:
    (found,) = [v for v in verdicts(rows) if asked in v.asked and v.about != "all runs"]
    return found.kept


OURS = scored(40.0, 0.01, group=TWO_TAPS, method="two taps, 1.5×", same_time=13)


@pytest.mark.parametrize(
    ("psnr_db", "distance", "speed_up", "is_kept"),
    [
        (32.0, 0.02, 1.5, True),
        (32.1, 0.02, 1.5, False),
        (32.0, 0.01, 1.5, False),
        (32.0, 0.02, 1.2, True),
        (32.0, 0.02, 1.6, None),
    ],
    ids=["8 dB", "less", "no nearer", "slower", "too quick to compare"],
)
def test_the_paper_s_rule_is_beaten_by_8_db_in_the_same_time(
    psnr_db: float, distance: float, speed_up: float, is_kept: bool | None
) -> None:
    paper = scored(psnr_db, distance, group=PAPER, speed_up=speed_up)

    assert kept("the paper's rule", OURS, paper) is is_kept


def test_the_better_of_the_paper_s_rows_as_fast_is_the_one_to_beat() -> None:
    alone, corrected = (scored(db, 0.02, group=PAPER) for db in (30.0, 33.0))
    slow = scored(60.0, 0.001, group=PAPER, speed_up=1.1)

    assert kept("the paper's rule", OURS, alone, slow) is True
    assert kept("the paper's rule", OURS, alone, corrected, slow) is False


def test_a_plan_must_be_corrected_and_as_fast_as_asked_for() -> None:
    slow, plain = replace(OURS, speed_up=1.4), replace(OURS, group=PLAIN)

    assert ours_at([slow, plain]) is None
    assert ours_at([slow, OURS]) is OURS
    assert kept("the paper's rule", slow, scored(20.0, 0.1, group=PAPER)) is False


def test_runs_of_many_steps_are_to_be_faster() -> None:
    assert ours_at([replace(OURS, steps=50)]) is None
    fast = replace(OURS, steps=50, speed_up=1.8)
    assert ours_at([fast]) is fast


@pytest.mark.parametrize(
    ("psnr_db", "distance", "is_kept"),
    [(39.0, 0.02, True), (41.0, 0.02, False), (39.0, 0.005, False)],
)
def test_fewer_steps_are_beaten_in_both_measures(
    psnr_db: float, distance: float, is_kept: bool
) -> None:
    fewer = scored(psnr_db, distance, group=FEWER, method="13 steps")
    other = scored(99.0, 0.0, group=FEWER, method="14 steps")

    assert kept("fewer steps in the same time", OURS, fewer, other) is is_kept


def test_three_runs_of_four_are_enough() -> None:
    rows = []
    for steps, psnr_db in ((20, 30.0), (21, 30.0), (22, 30.0), (23, 50.0)):
        fewer = scored(psnr_db, 0.02, group=FEWER, method="13 steps", steps=steps)
        rows += [replace(OURS, steps=steps), fewer]
    (all_four,) = [v for v in verdicts(rows) if v.about == "all runs"]
    (two,) = [v for v in verdicts(rows[:4]) if v.about == "all runs"]

    assert (all_four.kept, two.kept) == (True, None)


@pytest.mark.parametrize(
    ("psnr_db", "distance", "speed_up", "is_kept"),
    [
        (39.0, 0.02, 1.4, True),
        (41.0, 0.02, 1.4, False),
        (39.0, 0.02, 2.0, False),
        (100.0, 0.0, 1.0, None),
    ],
    ids=["beaten", "closer", "faster than any", "spared nothing"],
)
def test_every_peer_needs_a_plan_that_is_no_slower_and_closer(
    psnr_db: float, distance: float, speed_up: float, is_kept: bool | None
) -> None:
    peer = scored(psnr_db, distance, group="PAB", method="PAB", speed_up=speed_up)

    assert kept("no slower than PAB", OURS, peer, a_row(group=UNCACHED)) is is_kept


def test_what_takes_too_long_to_make_is_told() -> None:
    few = made_in("ddim, 20 steps", 20, {"searched": 9.0, "closed form": 181.0, "two taps": 999.0})
    many = made_in("ddim, 50 steps", 50, {"searched": 11.0, "closed form": 181.0})

    assert [verdict.kept for verdict in few] == [True, False]
    assert [verdict.kept for verdict in many] == [False]
