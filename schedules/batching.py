"""Which of those who wait a free worker takes next, and how good their pictures may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schedules.ladder import Ladder
from schedules.sharing import Crew, Crowd, Waiting, ceiling

if TYPE_CHECKING:
    from collections.abc import Sequence

# Who is late by more than this is no longer passed over for those who are not.
LATEST_MS = 10_000.0


@dataclass(frozen=True, slots=True)
class Batch:
    """How many of a line run now, from its first on, and how good they may be made.

    No better than `limit` for the sake of the others, and better than promised only with `up`.
    `rung` is where that leads by the ladder.
    """

    size: int
    rung: int
    limit: float
    up: bool


def turn(line: Sequence[Waiting], ladder: Ladder) -> int:
    """Return whose turn it is: the most urgent who can be in time, or who is late for long."""
    due = (i for i, w in enumerate(line) if w.can_be_kept(ladder) or w.left_ms < -LATEST_MS)
    return next(due, 0)


def compose(
    line: Sequence[Waiting],
    others: Sequence[Waiting],
    coming: Sequence[Waiting],
    ladder: Ladder,
    workers: int = 1,
    *,
    upgrade: bool = True,
) -> Batch:
    """Choose how many of `line`, jobs that can run as one batch in deadline order, run now.

    `others` wait besides and cannot join, `coming` are expected. The first is always taken. As many
    join as leave the quality of the batch highest, among equals the most, while the batch is in
    time for each of them and takes less than its parts. With `upgrade` it may be better than
    promised when nobody is left waiting.
    """
    best, crowd = None, Crowd((*line, *others), tuple(coming), ladder)
    for size in range(1, min(len(line), ladder.max_batch) + 1):
        if not _may_run(line[:size], ladder):
            break
        rest = (*line[size:], *others)
        batch = _limited(line[:size], rest, crowd, workers, upgrade)
        saves = size == 1 or _saves(line[:size], batch.rung, ladder)
        if saves and (best is None or batch.rung >= best.rung):
            best = batch
    if best is None:
        raise ValueError("a batch needs somebody in line")
    return best


def _may_run(members: Sequence[Waiting], ladder: Ladder) -> bool:
    images = sum(member.images for member in members)
    left_ms = min(member.left_ms for member in members)
    in_time = ladder.run_ms(_lowest(members, ladder), images) <= left_ms
    return len(members) == 1 or (images <= ladder.max_batch and in_time)


def _lowest(members: Sequence[Waiting], ladder: Ladder) -> int:
    return max(member.lowest(ladder) for member in members)


def _saves(members: Sequence[Waiting], rung: int, ladder: Ladder) -> bool:
    apart_ms = sum(ladder.run_ms(rung, member.images) for member in members)
    return ladder.run_ms(rung, sum(member.images for member in members)) < apart_ms


def _limited(
    members: Sequence[Waiting],
    rest: Sequence[Waiting],
    crowd: Crowd,
    workers: int,
    upgrade: bool,
) -> Batch:
    """Return the batch of these members of a crowd at the ceiling that the rest leave to it."""
    ladder = crowd.ladder
    images = sum(member.images for member in members)
    left_ms, lowest = min(member.left_ms for member in members), _lowest(members, ladder)
    column_ms = ladder.runs_ms(images)
    runs_ms = [*[column_ms[lowest]] * lowest, *column_ms[lowest:]]
    # A rung too long for the members themselves is not run: they get what fits.
    busiest_ms = max(left_ms, runs_ms[0])
    # Where all are in time, the rest are too.
    if crowd.is_clear_for(_busy(min(runs_ms[-1], busiest_ms), workers)):
        highest = ladder.top
    else:
        crews = [_busy(min(ms, busiest_ms), workers) for ms in runs_ms]
        highest = ceiling((*rest, *crowd.expected), ladder, crews[0], crews)
    up = upgrade and not rest
    promised = ladder.top if up else max(member.highest(ladder) for member in members)
    fitting = len([ms for ms in runs_ms if ms <= left_ms]) - 1
    rung = max(min(highest, promised, fitting), lowest)
    return Batch(len(members), rung, ladder.limit(highest), up)


def _busy(run_ms: float, workers: int) -> Crew:
    """Return the crew once this worker has begun: the others are in the middle of such a run."""
    return Crew((run_ms, *[run_ms / 2] * (workers - 1)), (1.0,) * workers)
