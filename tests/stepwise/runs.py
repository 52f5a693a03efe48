"""Pictures on their way through the steps of their plans, several at once on one device.

A UNet call serves all members whose next rows compute the same units. With `ragged` it serves all
there are, each unit for those alone whose row computes it: more than any worker does, so a bound.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from schedules.book import Plan, PlanBook
    from schedules.cost import CostModel
    from tests.load_simulation import Request


class Price:
    """What parts of a run take on one device, for any number of pictures, in median milliseconds.

    Plans are those of one book, told apart by identity; `left_ms` holds what was predicted before.
    """

    def __init__(
        self, book: PlanBook, costs: CostModel, most: int, *, ragged: bool = False
    ) -> None:
        stages = [costs.at(b) for b in range(1, most + 1)]
        level = costs.drift.median
        self._ragged = ragged
        self._graph = book.graph
        self._rows: dict[int, np.ndarray] = {}
        self.left_ms: dict[tuple[tuple[int, int], ...], float] = {}
        self._before = [0.0, *((s.encode_ms + s.start_ms) * level for s in stages)]
        self._fixed = [0.0, *(s.fixed_ms * level for s in stages)]
        self._after = [0.0, *((s.decode_ms + s.png_ms) * level for s in stages)]
        self._units = np.array([(0.0,) * len(book.graph), *(s.unit_ms for s in stages)]) * level

    def begin_ms(self, pictures: int) -> float:
        """Return what text and noise of new members take."""
        return self._before[pictures]

    def end_ms(self, pictures: int) -> float:
        """Return what decoding and encoding of finished members takes."""
        return self._after[pictures]

    def step_ms(self, rows: Sequence[np.ndarray]) -> float:
        """Return what one step of each member takes, given the units each computes."""
        if self._ragged:
            return self._call_ms(len(rows), np.sum(rows, axis=0))
        alike = Counter(row.tobytes() for row in rows)
        return sum(
            self._call_ms(n, n * np.frombuffer(row, dtype=np.int64)) for row, n in alike.items()
        )

    def _call_ms(self, members: int, computing: np.ndarray) -> float:
        units = self._units[computing, np.arange(len(computing))]
        return self._fixed[members] + float(units.sum())

    def rows(self, plan: Plan) -> np.ndarray:
        """Return the rows of a plan as numbers, steps × units."""
        if id(plan) not in self._rows:
            table = plan.schedule.normalised(self._graph).computes
            self._rows[id(plan)] = np.array(table, dtype=np.int64)
        return self._rows[id(plan)]


@dataclass(frozen=True, slots=True)
class Member:
    """One picture under way: its request, its plan, and how many steps are done."""

    request: Request
    plan: Plan
    step: int = -1

    @property
    def done(self) -> bool:
        """Whether only decoding is left."""
        return self.step >= self.plan.steps


@dataclass
class Run:
    """Members that advance together; `stray` is actual ÷ predicted time."""

    members: list[Member]
    price: Price
    stray: float = 1.0

    def part_ms(self) -> float:
        """Return what the next part takes: a begin, a step of all, or an end."""
        return self._part(self.members)[0]

    def advance(self) -> Sequence[Member]:
        """Do the next part; return who is finished with it."""
        _, self.members, finished = self._part(self.members)
        return finished

    def _part(self, members: list[Member]) -> tuple[float, list[Member], list[Member]]:
        finished = [m for m in members if m.done]
        if finished:
            return self.price.end_ms(len(finished)), [m for m in members if not m.done], finished
        new = [m for m in members if m.step < 0]
        if new:
            begun = [replace(m, step=max(m.step, 0)) for m in members]
            return self.price.begin_ms(len(new)), begun, []
        rows = [self.price.rows(m.plan)[m.step] for m in members]
        return self.price.step_ms(rows), [replace(m, step=m.step + 1) for m in members], []

    def ends_ms(self, more: Sequence[Member] = ()) -> Iterator[tuple[Member, float]]:
        """Predict when each member ends from now, were `more` to join."""
        members, at_ms = [*self.members, *more], 0.0
        while members:
            ms, members, finished = self._part(members)
            at_ms += ms
            for member in finished:
                yield member, at_ms

    def left_ms(self) -> float:
        """Predict how long the whole run still takes."""
        where, known = tuple((id(m.plan), m.step) for m in self.members), self.price.left_ms
        if where not in known:
            known[where] = max(at_ms for _, at_ms in self.ends_ms())
        return known[where]

    @property
    def only_ends(self) -> bool:
        """Whether all steps are done."""
        return all(member.done for member in self.members)

    def deadline_ms(self) -> float:
        """Return the moment by which the run has to end."""
        return min(m.request.deadline_ms for m in self.members)
