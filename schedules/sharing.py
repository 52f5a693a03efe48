"""How those who wait share the workers' time: one ceiling of quality for all.

Nobody is limited while everybody can have the best plan that fits alone. Else a ceiling holds for
all: the highest rung of a short ladder of plans at which everyone is kept who can be kept at all.

Laws of this file:
1. Jobs are served in deadline order. Who cannot be in time any more stands behind those who can.
2. More load never raises the ceiling; the ceiling is the same for all.
3. Nobody is made below the own floor, and nobody is promised more for the ceiling's sake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from math import inf
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from schedules.ladder import Ladder

# Fewer arrivals that met others tell nothing of what comes next.
FEWEST_MET = 4


class Waiting(NamedTuple):
    """Somebody who waits: milliseconds to the deadline, pictures, promised quality, own floor.

    `rest_ms` are left of what has begun: no rung changes them, and late or not it is finished.
    """

    left_ms: float
    images: int = 1
    quality: float = 1.0
    floor: float = 0.0
    rest_ms: float | None = None

    def lowest(self, ladder: Ladder) -> int:
        """Return the rung this job is never made below."""
        return ladder.rung_of(self.floor)

    def highest(self, ladder: Ladder) -> int:
        """Return the rung this job was promised, and needs no ceiling to stay at."""
        return max(ladder.rung_of(self.quality), self.lowest(ladder))

    def work_ms(self, ladder: Ladder, rung: int) -> float:
        """Return how long it keeps a worker at a rung, in the batch that saves most."""
        return self.images * ladder.each_ms[rung] if self.rest_ms is None else self.rest_ms

    def served_ms(self, ladder: Ladder, ceiling: int) -> float:
        """Return its work at a ceiling; none where even a free worker could not make it in time."""
        if self.rest_ms is not None:
            return self.rest_ms
        lowest = self.lowest(ladder)
        if ladder.run_ms(lowest, self.images) > self.left_ms:
            return 0.0
        return self.work_ms(
            ladder, lowest if ceiling <= lowest else min(ceiling, self.highest(ladder))
        )

    def can_be_kept(self, ladder: Ladder) -> bool:
        """Return whether a free worker could still make it in time, or it has begun."""
        return (
            self.rest_ms is not None
            or ladder.run_ms(self.lowest(ladder), self.images) <= self.left_ms
        )


class Arrival(NamedTuple):
    """A recent request: how long ago it came, its pictures, its budget, whether it met others."""

    age_ms: float
    images: int
    budget_ms: float
    met_others: bool = True


class Crew(NamedTuple):
    """The workers: in how many milliseconds each is free, and its speed (1: as the ladder says)."""

    free_ms: tuple[float, ...]
    speeds: tuple[float, ...]

    def after_each(self, works_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the same as `after` for each of several amounts of work."""
        if len(self.free_ms) == 1:
            return self.free_ms[0] + works_ms / self.speeds[0]
        return np.array([self.after(work_ms) for work_ms in works_ms.tolist()])

    def after(self, work_ms: float) -> float:
        """Return when the first worker is free with `work_ms` done, each at its own speed.

        Never earlier for more work.
        """
        if len(self.free_ms) == 1:
            return self.free_ms[0] + work_ms / self.speeds[0]
        order = sorted(zip(self.free_ms, self.speeds, strict=True))
        done, speed, end = 0.0, 0.0, (float("inf"), 0.0)
        for (free, own), (following, _) in pairwise([*order, end]):
            speed += own
            if done + speed * (following - free) >= work_ms:
                return free + (work_ms - done) / speed
            done += speed * (following - free)
        raise AssertionError("a crew has at least one worker")


def expected(arrivals: Sequence[Arrival]) -> list[Waiting]:
    """Return who is likely to come: those who came of late once more, as far apart as before.

    Nobody is expected while hardly anyone met others: who asks again only after an answer, one
    after the other, has a worker for himself.
    """
    if sum([arrival.met_others for arrival in arrivals]) < FEWEST_MET:
        return []
    span_ms = max([arrival.age_ms for arrival in arrivals])
    shift_ms = span_ms + span_ms / len(arrivals)
    return [Waiting(budget + shift_ms - age, images) for age, images, budget, _ in arrivals]


class _Demand:
    """Those who can be kept, in deadline order, as arrays: this is asked for every request."""

    def __init__(self, waiting: Sequence[Waiting], ladder: Ladder) -> None:
        told = [(w.left_ms, w.images, w.quality, w.floor, w.rest_ms) for w in waiting]
        left_ms, images, quality, floor, rest_ms = np.array(told, float).reshape(-1, 5).T
        begun = ~np.isnan(rest_ms)
        lowest = np.minimum(np.searchsorted(ladder.qualities, floor), ladder.top)
        highest = np.minimum(np.searchsorted(ladder.qualities, quality), ladder.top)
        full = np.minimum(images, ladder.max_batch).astype(int) - 1
        beyond = np.maximum(1.0, images / ladder.max_batch)
        run_ms = np.array(ladder.batch_ms)[lowest, full] * beyond
        order = np.argsort(left_ms, kind="stable")
        self.places = order[(begun | (run_ms <= left_ms))[order]]
        self._left_ms, self._images = left_ms[self.places], images[self.places]
        self._begun, self._rest_ms = begun[self.places], rest_ms[self.places]
        self._lowest = lowest[self.places]
        self._highest = np.maximum(highest, lowest)[self.places]
        self._each_ms, self._lone_ms = np.array(ladder.each_ms), np.array(ladder.lone_ms)

    def kept(self, crew: Crew, ceiling: int) -> NDArray[np.bool_]:
        """Return which of them are in time when all are served at a ceiling."""
        rungs = np.maximum(np.minimum(ceiling, self._highest), self._lowest)
        own_ms = np.where(self._begun, self._rest_ms, self._images * self._each_ms[rungs])
        lone_ms = np.maximum.accumulate(self._lone_ms[rungs])
        before_ms = np.concatenate(((0.0,), np.cumsum(own_ms)[:-1]))[: len(own_ms)]
        in_time: NDArray[np.bool_] = crew.after_each(before_ms) + own_ms + lone_ms <= self._left_ms
        return in_time


def kept(waiting: Sequence[Waiting], ladder: Ladder, crew: Crew, ceiling: int) -> frozenset[int]:
    """Return who is in time, by place in `waiting`, when all are served at a ceiling.

    By the demand bound of earliest-deadline-first: whoever finds a worker with time left after all
    that have earlier deadlines, each picture at its price in the best batch and one batch unfilled.
    """
    demand = _Demand(waiting, ladder)
    return frozenset(demand.places[demand.kept(crew, ceiling)].tolist())


def ceiling(
    waiting: Sequence[Waiting], ladder: Ladder, crew: Crew, crew_at: Sequence[Crew] = ()
) -> int:
    """Return the highest rung at which everyone is kept who is kept at the lowest.

    `crew_at[r]` replaces `crew` where what runs first takes longer the higher its rung r is.
    """
    crews = crew_at or [crew] * (ladder.top + 1)
    if Crowd(tuple(waiting), (), ladder).is_clear_for(crews[-1]):
        return ladder.top
    demand = _Demand(waiting, ladder)
    if demand.kept(crews[-1], ladder.top).all():
        return ladder.top
    keepable = demand.kept(crews[0], 0)
    # A higher rung keeps nobody whom a lower one does not, so that halving finds the last one.
    low, high = 0, ladder.top
    while low < high:
        middle = (low + high + 1) // 2
        if (keepable <= demand.kept(crews[middle], middle)).all():
            low = middle
        else:
            high = middle - 1
    return low


@dataclass(frozen=True)
class Crowd:
    """Who waits and who is expected, by a ladder; what is asked of it is reckoned only once."""

    waiting: tuple[Waiting, ...]
    expected: tuple[Waiting, ...]
    ladder: Ladder
    _served_ms: dict[int, tuple[float, ...]] = field(default_factory=dict, compare=False)

    @cached_property
    def _worst(self) -> tuple[float, float, float]:
        """The work of all at the highest rung, the most of one, and the least time left."""
        everyone, each_ms = (*self.waiting, *self.expected), self.ladder.each_ms[-1]
        # As `work_ms` says: this is done for every turn and batch.
        works_ms = [w.images * each_ms if w.rest_ms is None else w.rest_ms for w in everyone]
        least_ms = min([one.left_ms for one in everyone], default=inf)
        return sum(works_ms), max(works_ms, default=0.0), least_ms

    def is_clear_for(self, crew: Crew, *newcomers: Waiting) -> bool:
        """Return True where even the most urgent is in time, at any rung, after all the others.

        So it is most of the time, and then nobody has to be looked at one by one.
        """
        work_ms, most_ms, least_ms = self._worst
        for one in newcomers:
            own_ms = one.work_ms(self.ladder, self.ladder.top)
            work_ms, most_ms = work_ms + own_ms, max(most_ms, own_ms)
            least_ms = min(least_ms, one.left_ms)
        return crew.after(work_ms) + most_ms + self.ladder.lone_ms[-1] <= least_ms

    def before_ms(self, ahead: int, ceiling: int) -> float:
        """Return the work of the first `ahead` who wait, made at a ceiling."""
        known = self._served_ms.get(ceiling)
        if known is None:
            works_ms = (one.served_ms(self.ladder, ceiling) for one in self.waiting)
            known = self._served_ms[ceiling] = tuple(accumulate(works_ms, initial=0.0))
        return known[min(ahead, len(self.waiting))]


class Room(NamedTuple):
    """What a newcomer finds: the crowd, and the workers."""

    crowd: Crowd
    crew: Crew

    @property
    def ladder(self) -> Ladder:
        """The rungs that all share."""
        return self.crowd.ladder

    def is_ample_for(self, newcomer: Waiting) -> bool:
        """Return whether all can have the best there is, the newcomer and the expected as well."""
        if self.crowd.is_clear_for(self.crew, newcomer):
            return True
        demand = _Demand(self._everyone_with(newcomer), self.ladder)
        return bool(demand.kept(self.crew, self.ladder.top).all())

    def has_place_for(self, newcomer: Waiting) -> bool:
        """Return whether everyone who waits stays in time when the newcomer joins."""
        waiting = self.crowd.waiting
        if not waiting:
            return True
        before = kept(waiting, self.ladder, self.crew, 0)
        return before <= kept((*waiting, newcomer), self.ladder, self.crew, 0)

    def ceiling_with(self, newcomer: Waiting) -> int:
        """Return the ceiling for all once the newcomer is among them."""
        return ceiling(self._everyone_with(newcomer), self.ladder, self.crew)

    def _everyone_with(self, newcomer: Waiting) -> tuple[Waiting, ...]:
        return (*self.crowd.waiting, newcomer, *self.crowd.expected)

    def wait_ms(self, ahead: int, ceiling: int, unseen_ms: float = 0.0) -> float:
        """Return when a worker is free after the first `ahead` who wait, and work not seen here."""
        return self.crew.after(self.crowd.before_ms(ahead, ceiling) + unseen_ms)
