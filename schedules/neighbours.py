"""Schedules that differ from one in a unit or two, those first that promise most."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from schedules.influence import Table, spent_ms
from schedules.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from schedules.cost import StageCosts
    from schedules.influence import Influence
    from schedules.units import UnitGraph

    Computes = NDArray[np.bool_]

# Of the changes that cost time and of those that save it, so many are paired with one another.
PAIRED = 24
TINY = 1e-9


@dataclass(frozen=True, slots=True)
class _Flip:
    """One unit that computes at a step instead of reusing, or the other way round."""

    step: int
    unit: int
    error: float
    more_ms: float


def neighbours(
    influence: Influence, graph: UnitGraph, costs: StageCosts, schedule: Schedule, most: int
) -> tuple[Schedule, ...]:
    """Return `most` schedules of least expected error that are no dearer and one move away.

    A move lets one unit reuse at a step and, maybe, one compute at a step instead: the same unit a
    step later or earlier is a shift.
    """
    around = _Around(influence, graph, costs, schedule)
    tables = {table.tobytes(): table for table in around.tables()}
    ranked = sorted(tables.values(), key=around.error)
    return tuple(Schedule.of(table.tolist()) for table in ranked[:most])


class _Around:
    def __init__(
        self, influence: Influence, graph: UnitGraph, costs: StageCosts, schedule: Schedule
    ) -> None:
        self._table = Table.to_choose_by(influence, graph)
        self._unit_ms = np.array(costs.unit_ms)
        self._computes: Computes = np.array(schedule.normalised(graph).computes)
        self._ms = spent_ms(self._computes, self._unit_ms)

    def error(self, computes: Computes) -> float:
        return self._table.error(computes)

    def tables(self) -> Iterator[Computes]:
        """Give the tables of all moves that cost no more."""
        flips = [flip for step in range(1, len(self._computes)) for flip in self._flips(step)]
        fewer = [flip for flip in flips if flip.more_ms <= 0]
        more = [flip for flip in flips if flip.more_ms > 0]
        cheap = sorted(fewer, key=lambda flip: flip.error)[:PAIRED]
        worth = sorted(more, key=lambda flip: flip.error)[:PAIRED]
        for moved in (*([flip] for flip in cheap), *product(cheap, worth)):
            computes = self._moved(moved)
            ms = spent_ms(computes, self._unit_ms)
            if ms <= self._ms * (1 + TINY) and not np.array_equal(computes, self._computes):
                yield computes

    def _flips(self, step: int) -> Iterator[_Flip]:
        row = self._computes[step]
        flipped = row ^ np.eye(len(row), dtype=bool)
        rows = np.stack([one & self._table.live(one) for one in flipped])
        errors = self._table.errors(self._computes, step, rows)
        more_ms = rows @ self._unit_ms - row @ self._unit_ms
        for unit, changed in enumerate(rows):
            if not np.array_equal(changed, row):
                yield _Flip(step, unit, float(errors[unit]), float(more_ms[unit]))

    def _moved(self, flips: Sequence[_Flip]) -> Computes:
        computes = self._computes.copy()
        for flip in flips:
            computes[flip.step, flip.unit] ^= True
        for flip in flips:
            computes[flip.step] &= self._table.live(computes[flip.step])
        return computes
