"""Schedules of least error for their time: an exact programme a unit, then a search over all.

The error is first-order and known for every schedule (see `schedules/influence.py`). What the
programme cannot see, that errors of different units cancel or add up and that a reused output makes
what feeds it free, the search takes into account.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from schedules.errors import InvalidCosts
from schedules.influence import Table, spent_ms
from schedules.schedule import Schedule
from schedules.units import OUTPUT_ROLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from schedules.cost import StageCosts
    from schedules.influence import Influence
    from schedules.units import UnitGraph

    Computes = NDArray[np.bool_]

SWEEPS = 12
TINY = 1e-9
PRICES = 14
BISECTIONS = 10
# Of what is found within a time, so many use up what is left of it.
FILLED = 3
# How far below the cheapest price of a frontier the one that meets a time may lie.
WIDER = 100


@dataclass(frozen=True, slots=True)
class Found:
    """A schedule with its expected squared error and the time of its computed units."""

    schedule: Schedule
    error: float
    unit_ms: float


def best_column(influence: Influence, unit: int, price: float) -> list[bool]:
    """Return when one unit should compute if each compute costs `price`, alone and exactly.

    Dynamic programme over segments: a value computed at a and reused until b costs the squared sum
    of the effects of those reuses.
    """
    steps, longest = influence.steps, influence.longest_lag
    best, came = [0.0] + [float("inf")] * steps, [0] * (steps + 1)
    for a in range(steps):
        ends = min(longest, steps - 1 - a) + 1
        for b, error in enumerate(_segments(influence, unit, a, ends), start=a + 1):
            total = best[a] + price + error
            if total < best[b]:
                best[b], came[b] = total, a
    return _computed_at(came, steps)


def _segments(influence: Influence, unit: int, a: int, ends: int) -> NDArray[np.float64]:
    """Return the errors of reusing the value of step a for 0, 1, … `ends` − 1 steps."""
    lags = np.arange(1, ends)
    effects = influence.effects[unit, a + lags, lags - 1].astype(np.float64)
    sums = np.concatenate([np.zeros((1, effects.shape[1])), effects.cumsum(0)])
    errors: NDArray[np.float64] = np.square(sums).mean(1)
    return errors


def _computed_at(came: Sequence[int], steps: int) -> list[bool]:
    column, at = [False] * steps, steps
    while at > 0:
        at = came[at]
        column[at] = True
    return column


class Search:
    """Looks for schedules of least error + price × time, a row at a time.

    A GPU that replays one recording for each different row has room for a few: there are then no
    more than `most_rows`. Errors are those of `table`, by default of one to choose by. Raises
    InvalidProfile or InvalidCosts when measurements are of another UNet.
    """

    def __init__(
        self,
        influence: Influence,
        graph: UnitGraph,
        costs: StageCosts,
        most_rows: int | None = None,
        table: Table | None = None,
    ) -> None:
        self._most_rows = influence.steps if most_rows is None else max(most_rows, 1)
        self._table = table or Table.to_choose_by(influence, graph)
        if len(costs.unit_ms) != influence.units:
            raise InvalidCosts(f"{len(costs.unit_ms)} units timed, {influence.units} measured")
        self._influence = influence if table else influence.levelled()
        self._unit_ms = np.array(costs.unit_ms)
        self._outputs = graph.with_role(*OUTPUT_ROLES)
        self._one = np.eye(influence.units, dtype=bool)

    @property
    def shape(self) -> tuple[int, int]:
        """Steps and units of what is searched for."""
        return self._influence.steps, self._influence.units

    def frontier(self, prices: Sequence[float] | None = None) -> tuple[Found, ...]:
        """Return schedules from dear to cheap, one for each price at most."""
        found: dict[Schedule, Found] = {}
        computes = np.ones((self._influence.steps, self._influence.units), bool)
        for price in self.prices() if prices is None else prices:
            computes = self.best(price, computes)
            one = self._found(self._merged(computes, price))
            found.setdefault(one.schedule, one)
        return tuple(found.values())

    def prices(self) -> tuple[float, ...]:
        """Return errors per millisecond between which schedules change from none to all reuse."""
        effects = np.square(self._influence.effects[:, 1:, 0]).mean(2)
        ms = np.maximum(self._unit_ms, 1e-6)[:, None]
        worth = (effects / ms)[effects > 0]
        if not len(worth):
            return (1.0,)
        low, high = np.quantile(worth, (0.02, 0.98))
        return tuple(float(price) for price in np.geomspace(low, high * 10, PRICES))

    def best(self, price: float, begin: Computes) -> Computes:
        """Return the best of the searches from `begin` and from each unit's own optimum."""
        starts = (begin, self._alone(price))
        return min((self._descend(c, price) for c in starts), key=lambda c: self._worth(c, price))

    def near(self, begin: Schedule, most_ms: float) -> Found | None:
        """Return the best of `begin` and what is found from there that takes `most_ms` at most."""
        start = self._lean(np.array(begin.computes))
        low, *_, high = self.prices() * 2  # there may be a single price
        low, found = low / WIDER, [self._found(start)]
        for _ in range(BISECTIONS):
            price = math.sqrt(low * high)
            found.append(self._found(self._merged(self.best(price, start), price)))
            low, high = (low, price) if found[-1].unit_ms <= most_ms else (price, high)
        quick = {one.schedule: one for one in found if one.unit_ms <= most_ms * (1 + TINY)}
        rising = sorted(quick.values(), key=lambda one: one.error)
        filled = (self._filled(one, most_ms) for one in rising[:FILLED])
        return min(filled, key=lambda one: one.error, default=None)

    def _filled(self, one: Found, most_ms: float) -> Found:
        """Let more units compute, one by one, while that helps and there is time."""
        computes, error = np.array(one.schedule.computes), one.error
        while (more := self._one_more(computes, most_ms, error)) is not None:
            computes, error = more
        return self._found(computes)

    def _one_more(
        self, computes: Computes, most_ms: float, error: float
    ) -> tuple[Computes, float] | None:
        """Return the table with the one more compute that lowers the error most, if any does."""
        if self._most_rows < len(computes) and len(np.unique(computes, axis=0)) >= self._most_rows:
            return None
        best, spent = None, spent_ms(computes, self._unit_ms)
        for step in range(1, len(computes)):
            rows = self._with_one_more(computes[step])
            fits = spent + (rows ^ computes[step]) @ self._unit_ms <= most_ms * (1 + TINY)
            errors = np.where(fits, self._table.errors(computes, step, rows), np.inf)
            if errors.min() < error * (1 - TINY):
                best, error = computes.copy(), float(errors.min())
                best[step] = rows[errors.argmin()]
        return None if best is None else (best, error)

    def _with_one_more(self, row: Computes) -> Computes:
        """Return the rows in which one unit more computes; `row` again where that is dead work."""
        rows = row | self._one
        return np.asarray(rows & self._table.lives(rows))

    def _merged(self, computes: Computes, price: float) -> Computes:
        """Let steps follow the rows of others, those first that lose least, until few are left."""
        while len(np.unique(computes, axis=0)) > self._most_rows:
            computes = min(_mergers(computes), key=lambda c: self._worth(c, price))
        return computes

    def _alone(self, price: float) -> Computes:
        columns = [
            [True] * self._influence.steps
            if u in self._outputs
            else best_column(self._influence, u, price * self._unit_ms[u])
            for u in range(self._influence.units)
        ]
        return self._lean(np.array(columns).T)

    def _descend(self, computes: Computes, price: float) -> Computes:
        now = self._worth(computes, price)
        for _ in range(SWEEPS):
            before = now
            for step in range(1, self._influence.steps):
                computes, now = self._best_row(computes, step, price, now)
            if now >= before:
                break
        return computes

    def _best_row(
        self, computes: Computes, step: int, price: float, now: float
    ) -> tuple[Computes, float]:
        for _ in range(SWEEPS):
            rows = self._rows(computes, step)
            others_ms = spent_ms(computes, self._unit_ms) - float(computes[step] @ self._unit_ms)
            worth = self._table.errors(computes, step, rows)
            worth += price * (others_ms + rows @ self._unit_ms)
            best = int(worth.argmin())
            if worth[best] >= now * (1 - TINY):
                break
            computes, now = computes.copy(), float(worth[best])
            computes[step] = rows[best]
        return computes, now

    def _rows(self, computes: Computes, step: int) -> Computes:
        """Propose rows: everything, a neighbour's, cut at one output, one unit changed."""
        full, cut = np.ones_like(self._one[:1]), ~self._one[list(self._outputs)]
        rows = np.concatenate([full, computes[step - 1 : step], cut, computes[step] ^ self._one])
        return np.asarray(rows & self._table.lives(rows))

    def _worth(self, computes: Computes, price: float) -> float:
        return self._table.error(computes) + price * spent_ms(computes, self._unit_ms)

    def _lean(self, computes: Computes) -> Computes:
        return np.concatenate([computes[:1], computes[1:] & self._table.lives(computes[1:])])

    def _found(self, computes: Computes) -> Found:
        ms = spent_ms(computes, self._unit_ms)
        return Found(Schedule.of(computes.tolist()), self._table.error(computes), ms)


def _mergers(computes: Computes) -> Iterator[Computes]:
    """Give the tables in which one kind of row, but not that of step 0, has become another."""
    rows, which = np.unique(computes, axis=0, return_inverse=True)
    which = which.reshape(-1)
    for kind, other in permutations(range(len(rows)), 2):
        if kind != which[0]:
            yield rows[np.where(which == kind, other, which)]
