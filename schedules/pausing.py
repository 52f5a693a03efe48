"""Whether a run stands back between two steps for a batch that has to be done before it.

Laws of this file:
1. A run stands back only where it stays in time, counted a little longer than predicted.
2. Nobody comes before a run who would get as much after it.
3. One run at most is paused: whoever comes before it is not paused itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from schedules.batching import Batch, compose
from schedules.sharing import Crew, Crowd, Waiting, kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schedules.ladder import Ladder

# What runs that are held up are counted with: predictions stray, and turning to others takes time.
MARGIN = 1.03
SWITCH_MS = 2.0
# The end of a run is late by so much, when it is asked whether waiting for it would do.
LATE = 1.01


class Underway(Waiting):
    """What is left of a run that others may come before, whose work is what it is: `rest_ms`."""

    __slots__ = ()
    rest_ms: float

    def __new__(cls, left_ms: float, rest_ms: float) -> Self:
        """Return a run by its deadline and its work."""
        return super().__new__(cls, left_ms, quality=0.0, rest_ms=rest_ms)

    @classmethod
    def predicted(cls, left_ms: float, rest_ms: float) -> Self:
        """Return a run that should take so much longer, with all that a pause adds."""
        return cls(left_ms, rest_ms=rest_ms * MARGIN + 2 * SWITCH_MS)

    @property
    def predicted_ms(self) -> float:
        """How much longer it should take if nobody comes before it."""
        return (self.rest_ms - 2 * SWITCH_MS) / MARGIN

    @property
    def slack_ms(self) -> float:
        """For how long it can stand back and still be in time."""
        return self.left_ms - self.rest_ms

    def yields(self, ladder: Ladder) -> bool:
        """Return whether there is time for anybody to come before it."""
        return self.slack_ms >= ladder.batch_ms[0][0]


def sooner(
    line: Sequence[Waiting],
    others: Sequence[Waiting],
    coming: Sequence[Waiting],
    ladder: Ladder,
    run: Underway,
    workers: int = 1,
) -> Batch | None:
    """Choose how many of `line`, jobs with deadlines before that of `run`, come before its rest.

    They are as in `compose`; `others` do not hold the run. As many come as can all be in time
    without the run being late. None: nobody, or waiting for the end of the run costs them nothing.
    """
    best = compose(line, (*others, run), coming, ladder, workers, upgrade=False)
    for size in range(best.size, 0, -1):
        members = line[:size]
        own_ms = min(member.left_ms for member in members)
        target = min(_promised(members, ladder), ladder.rung_of(min(best.limit, 1.0)))
        now = _rung_within(min(own_ms, run.slack_ms), members, ladder, target)
        later = _rung_within(own_ms - run.predicted_ms * LATE, members, ladder, target)
        if later is not None and (now is None or later >= now):
            return None
        if now is not None:
            return Batch(size, now, best.limit, up=False)
    return None


def _promised(members: Sequence[Waiting], ladder: Ladder) -> int:
    return max(member.highest(ladder) for member in members)


def _rung_within(
    left_ms: float, members: Sequence[Waiting], ladder: Ladder, target: int
) -> int | None:
    """Return the highest rung up to a target at which a batch fits, None where none does."""
    images = sum(member.images for member in members)
    lowest = max(member.lowest(ladder) for member in members)
    if images > ladder.max_batch:
        return None
    rungs = range(max(target, lowest), lowest - 1, -1)
    return next((rung for rung in rungs if ladder.run_ms(rung, images) <= left_ms), None)


def ceiling_over(
    members: Sequence[Waiting], rest: Sequence[Waiting], ladder: Ladder, workers: int = 1
) -> int:
    """Return the ceiling for a batch that all of `rest` with earlier deadlines can come before.

    The highest rung at which everyone of `rest` is kept who is kept at the lowest.
    """
    crowd, crew = _beside(members, rest, ladder, workers, ladder.top)
    if crowd.is_clear_for(crew):
        return ladder.top
    keepable = _kept_beside(members, rest, ladder, workers, 0)
    rungs = range(ladder.top, 0, -1)
    found = (r for r in rungs if keepable <= _kept_beside(members, rest, ladder, workers, r))
    return next(found, 0)


def _kept_beside(
    members: Sequence[Waiting], rest: Sequence[Waiting], ladder: Ladder, workers: int, rung: int
) -> frozenset[int]:
    crowd, crew = _beside(members, rest, ladder, workers, rung)
    return kept(crowd.waiting, ladder, crew, rung) - {len(rest)}


def _beside(
    members: Sequence[Waiting], rest: Sequence[Waiting], ladder: Ladder, workers: int, rung: int
) -> tuple[Crowd, Crew]:
    """Return who wants this worker or another when a batch has begun at a rung, itself the last."""
    images, left_ms = sum(m.images for m in members), min(m.left_ms for m in members)
    # A rung too long for the members themselves is not run: they get what fits.
    longest_ms = max(left_ms, ladder.run_ms(0, images))
    run_ms = min(ladder.run_ms(rung, images), longest_ms)
    crew = Crew((0.0, *[run_ms / 2] * (workers - 1)), (1.0,) * workers)
    return Crowd((*rest, Underway(left_ms, rest_ms=run_ms)), (), ladder), crew
