"""Steps that do more or less than planned, for a run ahead of its promise or behind it."""

from __future__ import annotations

from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

from schedules.schedule import normalised_row
from schedules.units import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schedules.schedule import Row, Schedule
    from schedules.units import UnitGraph


class Steering:
    """What each step of a schedule may become, and what that changes of its time.

    A step may compute what its own row and any other row of the schedule (or an empty or a full
    one) both compute, or either does: the patterns a schedule is made of tell which units go
    together and which matter most. `unit_ms[u]` is what unit u adds to a step when it computes.
    A step of rest, which reuses the UNet's output, stays one.
    """

    def __init__(self, schedule: Schedule, graph: UnitGraph, unit_ms: Sequence[float]) -> None:
        self._schedule = schedule
        self._graph = graph
        self._unit_ms = unit_ms
        self._empty: Row = (False,) * schedule.units

    # A run of one step is never steered: nothing is reckoned before the first time.
    @cached_property
    def _rows(self) -> tuple[Row, ...]:
        return self._schedule.normalised(self._graph).computes

    @cached_property
    def _outputs(self) -> tuple[int, ...]:
        return self._graph.with_role(Role.OUTPUT)

    @cached_property
    def _known(self) -> list[Row]:
        return sorted({*self._rows, self._empty, (True,) * self._schedule.units})

    @cached_property
    def _ms(self) -> list[float]:
        return [self._time(row) for row in self._rows]

    @cached_property
    def _later_ms(self) -> list[float]:
        return _sums_after(self._ms)

    @cached_property
    def _room_ms(self) -> list[float]:
        full_ms = sum(self._unit_ms)
        return [0.0 if self._rests(s) else full_ms - ms for s, ms in enumerate(self._ms)]

    @cached_property
    def _later_room_ms(self) -> list[float]:
        return _sums_after(self._room_ms)

    def shortest(self, step: int) -> tuple[Row, float]:
        """Return the row that computes nothing at `step`, and the milliseconds that saves (< 0)."""
        return self._empty, -self._ms[step]

    def steered(self, step: int, spare_ms: float) -> tuple[Row, float]:
        """Return the row of `step` and what it adds to the planned milliseconds.

        `spare_ms` is what this and all later steps together should take more than planned, less if
        negative. Each bears a share: of what it takes when there is too little time, of what it
        still leaves out when there is too much.
        """
        own_ms = self._ms[step]
        room_ms = self._room_ms[step]
        part, whole = (own_ms, self._later_ms) if spare_ms < 0 else (room_ms, self._later_room_ms)
        wanted_ms = spare_ms * part / ((part + whole[step]) or 1.0)
        return min(self._choices(step), key=lambda choice: abs(choice[1] - wanted_ms))

    def _choices(self, step: int) -> list[tuple[Row, float]]:
        """Return what the step may be, its own row first."""
        own = self._rows[step]
        if self._rests(step):
            return [(own, 0.0)]
        both = (tuple(a and b for a, b in zip(own, row, strict=True)) for row in self._known)
        either = (tuple(a or b for a, b in zip(own, row, strict=True)) for row in self._known)
        lean = (normalised_row(row, self._graph) for row in {*both, *either} - {own})
        return [(own, 0.0), *((row, self._time(row) - self._ms[step]) for row in lean)]

    def _rests(self, step: int) -> bool:
        # Computed after all, it would take from the next rest the values that its forecast is for.
        return not all(self._rows[step][u] for u in self._outputs)

    def _time(self, row: Row) -> float:
        return sum(ms for ms, computes in zip(self._unit_ms, row, strict=True) if computes)


def _sums_after(values: Sequence[float]) -> list[float]:
    """Return for each position the sum of all values after it."""
    *sums, _ = accumulate(reversed(values), initial=0.0)
    return sums[::-1]
