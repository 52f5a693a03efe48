"""What the rows of a table say of the bars: beside the paper's rule, fewer steps, and every peer.

Times are compared by speed-ups, which are ratios on the same picture, not by medians.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from workers.evaluating.comparison import FEWER, TIE, UNCACHED
from workers.evaluating.lineup import PAPER, PLAIN, TWO_TAPS, goal
from workers.evaluating.tables import runs
from workers.evaluating.verdicts import Verdict
from workers.quality import PSNR_CAP_DB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from workers.evaluating.scores import Scores
    from workers.evaluating.tables import Row

LEAD_DB = 8.0
LEADING_RUNS = 3
OURS = (PLAIN, TWO_TAPS)
# Of the time of ours, the least that counts as the same time for the paper's rule.
SAME = 0.97
MOST_FIT_S, MOST_SEARCH_S = 180.0, 10.0
LONGEST_FIT_STEPS = 20


def verdicts(rows: Iterable[Row]) -> list[Verdict]:
    """Judge every solver and step count, and all of them together."""
    by_run = runs(rows)
    beside_fewer = [_beside_fewer(title, members) for title, members in by_run]
    return [
        *(_beside_paper(title, members) for title, members in by_run),
        *beside_fewer,
        _most(beside_fewer),
        *chain.from_iterable(_beside_peers(title, members) for title, members in by_run),
    ]


def ours_at(rows: Sequence[Row]) -> Row | None:
    """Return our closest corrected row that reaches the speed-up asked for, if one does."""
    reaching = (r for r in rows if r.group == TWO_TAPS and r.speed_up * TIE >= goal(r.steps))
    return max(reaching, key=lambda row: row.to_uncached.psnr_db, default=None)


def _beside_paper(title: str, rows: Sequence[Row]) -> Verdict:
    """Compare with the closest of the paper's rows that had as much time, the nearest in time."""
    asked = (
        f"at {goal(rows[0].steps):g}×: ≥ {LEAD_DB:g} dB above the paper's rule in the same "
        "time, and a lower distance"
    )
    ours = ours_at(rows)
    if ours is None:
        return Verdict(title, asked, "no corrected plan is as fast", kept=False)
    slower = [r for r in rows if r.group == PAPER and ours.speed_up >= SAME * r.speed_up]
    if not slower:
        return Verdict(title, asked, "the paper's rule had less time in every row", kept=None)
    fastest = max(row.speed_up for row in slower)
    nearest = [row for row in slower if row.speed_up >= SAME * fastest]
    paper = max(nearest, key=lambda row: row.to_uncached.psnr_db)
    lead_db, nearer = _lead(ours.to_uncached, paper.to_uncached)
    return _compared(title, asked, ours, paper, kept=lead_db >= LEAD_DB and nearer)


def _beside_fewer(title: str, rows: Sequence[Row]) -> Verdict:
    asked, ours = "closer than fewer steps in the same time, in both measures", ours_at(rows)
    if ours is None:
        return Verdict(title, asked, "no corrected plan is as fast", kept=False)
    fewer = next((r for r in rows if r.group == FEWER and _steps(r) == ours.same_time), None)
    if fewer is None:
        return Verdict(title, asked, "no uncached run is as quick", kept=None)
    return _compared(title, asked, ours, fewer, kept=_is_closer(ours, fewer))


def _steps(row: Row) -> int:
    return int(row.method.split()[0])


def _most(beside_fewer: Sequence[Verdict]) -> Verdict:
    won, count = sum(v.kept is True for v in beside_fewer), len(beside_fewer)
    asked = f"closer than fewer steps in at least {LEADING_RUNS} of 4 runs"
    kept = won >= LEADING_RUNS if count >= LEADING_RUNS else None
    return Verdict("all runs", asked, f"in {won} of {count}", kept, {"won": won, "runs": count})


def _beside_peers(title: str, rows: Sequence[Row]) -> list[Verdict]:
    own = {PAPER, FEWER, UNCACHED, *OURS}
    mine = [row for row in rows if row.group in OURS]
    return [_beside_peer(title, mine, row) for row in rows if row.group not in own]


def _beside_peer(title: str, mine: Sequence[Row], peer: Row) -> Verdict:
    """Compare a peer with the best of our rows that is no slower: a winner if there is one."""
    asked = f"a plan no slower than {peer.method}, and closer in both measures"
    if peer.to_uncached.psnr_db >= PSNR_CAP_DB:
        return Verdict(title, asked, "it spared nothing: the uncached picture", kept=None)
    quick = [row for row in mine if row.speed_up * TIE >= peer.speed_up]
    if not quick:
        return Verdict(title, asked, f"no plan is as fast ({peer.speed_up:.2f}×)", kept=False)
    best = max(quick, key=lambda row: (_is_closer(row, peer), row.to_uncached.psnr_db))
    return _compared(title, asked, best, peer, kept=_is_closer(best, peer))


def _is_closer(ours: Row, other: Row) -> bool:
    lead_db, nearer = _lead(ours.to_uncached, other.to_uncached)
    return lead_db > 0 and nearer


def _lead(ours: Scores, other: Scores) -> tuple[float, bool]:
    return ours.psnr_db - other.psnr_db, ours.distance < other.distance


def _compared(title: str, asked: str, ours: Row, other: Row, *, kept: bool) -> Verdict:
    """Tell the gap to the uncached run of the same solver and steps, and to the reference."""
    gaps = {
        "": (ours.to_uncached, other.to_uncached),
        "_ref": (ours.to_reference, other.to_reference),
    }
    figures = {"time_ratio": other.speed_up / ours.speed_up}
    for suffix, (a, b) in gaps.items():
        figures[f"lead_db{suffix}"] = a.psnr_db - b.psnr_db
        figures[f"distance_ratio{suffix}"] = a.distance / b.distance if b.distance else 1.0
    found = (
        f"{_told(ours)}; {_told(other)}: {figures['lead_db']:+.1f} dB, "
        f"{figures['distance_ratio']:.2f} of its distance (ref {figures['lead_db_ref']:+.1f} dB, "
        f"{figures['distance_ratio_ref']:.2f})"
    )
    return Verdict(title, asked, found, kept, figures)


def _told(row: Row) -> str:
    scores = row.to_uncached
    return f"{row.method} {row.speed_up:.2f}× {scores.psnr_db:.1f} dB {scores.distance:.4f}"


def made_in(title: str, steps: int, seconds: Mapping[str, float]) -> list[Verdict]:
    """Judge how long schedules and corrections took to make."""
    bars = {"searched": MOST_SEARCH_S}
    if steps <= LONGEST_FIT_STEPS:
        bars["closed form"] = MOST_FIT_S
    return [
        Verdict(
            title, f"{what} made in ≤ {most_s:g} s", f"{spent:.1f} s", spent <= most_s, {"s": spent}
        )
        for what, most_s in bars.items()
        if (spent := seconds.get(what)) is not None
    ]
