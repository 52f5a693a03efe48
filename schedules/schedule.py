"""A schedule: which unit computes and which reuses at every step of one generation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Self

from schedules.errors import InvalidSchedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from schedules.units import UnitGraph

Row = tuple[bool, ...]


class Work(IntEnum):
    """What happens to a unit at a step."""

    SKIPPED = 0
    REUSED = 1
    COMPUTED = 2


@dataclass(frozen=True, slots=True)
class Counts:
    """Block executions of a run: computed, reused from the cache, or skipped as dead work."""

    computed: int = 0
    reused: int = 0
    skipped: int = 0

    @property
    def hit_ratio(self) -> float:
        """Share of block executions that did not have to be computed."""
        total = self.computed + self.reused + self.skipped
        return (self.reused + self.skipped) / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Reuse:
    """Unit `unit` reuses at `step` what it computed at step `source`, and at `before` before that.

    `before` is None where the unit has been computed only once so far.
    """

    step: int
    unit: int
    source: int
    before: int | None


@dataclass(frozen=True)
class Schedule:
    """A table of steps × units: `computes[s][u]` is True where unit u computes at step s.

    Step 0 computes everything, so every reuse has a value to reuse. Raises InvalidSchedule when it
    does not, or when the table is empty or ragged.
    """

    computes: tuple[Row, ...]

    def __post_init__(self) -> None:
        if not self.computes or not self.computes[0]:
            raise InvalidSchedule("a schedule needs at least one step and one unit")
        if len({len(row) for row in self.computes}) != 1:
            raise InvalidSchedule("every step of a schedule needs the same number of units")
        if not all(self.computes[0]):
            raise InvalidSchedule("step 0 must compute every unit: there is nothing to reuse yet")

    @property
    def steps(self) -> int:
        """Number of denoising steps."""
        return len(self.computes)

    @property
    def units(self) -> int:
        """Number of units in each row."""
        return len(self.computes[0])

    @property
    def is_uncached(self) -> bool:
        """Whether every unit computes at every step."""
        return all(all(row) for row in self.computes)

    @property
    def unit_runs(self) -> tuple[int, ...]:
        """How often each unit computes."""
        return tuple(sum(column) for column in zip(*self.computes, strict=True))

    @property
    def digest(self) -> str:
        """A short name of exactly this table."""
        return hashlib.sha256(f"{self.units}:{self.encode()}".encode()).hexdigest()[:16]

    def normalised(self, graph: UnitGraph) -> Self:
        """Return the same pictures' schedule without computes whose result nobody reads."""
        # Few rows differ, and this is done for every batch.
        lean = {row: normalised_row(row, graph) for row in set(self.computes[1:])}
        return type(self)((self.computes[0], *(lean[row] for row in self.computes[1:])))

    def work(self, graph: UnitGraph) -> tuple[tuple[Work, ...], ...]:
        """Return what happens to each unit at each step."""
        work = {row: work_of(row, graph) for row in set(self.computes)}
        return tuple(work[row] for row in self.computes)

    def reuses(self, graph: UnitGraph) -> tuple[Reuse, ...]:
        """Return every reuse of a run, step after step, units in execution order."""
        columns = enumerate(zip(*self.work(graph), strict=True))
        found = (reuse for u, column in columns for reuse in _reuses(u, column))
        return tuple(sorted(found, key=lambda reuse: (reuse.step, reuse.unit)))

    def counts(self, graph: UnitGraph) -> Counts:
        """Return how many block executions will be computed, reused and skipped."""
        flat = [work for row in self.work(graph) for work in row]
        return Counts(flat.count(Work.COMPUTED), flat.count(Work.REUSED), flat.count(Work.SKIPPED))

    def encode(self) -> str:
        """Return the table as text: one hexadecimal number a step, unit 0 the lowest bit."""
        return self._text

    @cached_property
    def _text(self) -> str:
        words = {row: format(_bits(row), "x") for row in set(self.computes)}
        return ".".join(words[row] for row in self.computes)

    @classmethod
    def decode(cls, text: str, units: int) -> Self:
        """Read what `encode` wrote; raises InvalidSchedule when it is not such a text."""
        try:
            numbers = [int(part, 16) for part in text.split(".")]
        except ValueError as error:
            raise InvalidSchedule(f"not a schedule table: {text[:80]!r}") from error
        if any(number < 0 or number >> units for number in numbers):
            raise InvalidSchedule(f"a row names more than {units} units: {text[:80]!r}")
        rows = {n: tuple(bool(n >> u & 1) for u in range(units)) for n in set(numbers)}
        return cls(tuple(rows[n] for n in numbers))

    @classmethod
    def of(cls, rows: Iterable[Sequence[bool]]) -> Self:
        """Build a schedule from any rows of truth values."""
        return cls(tuple(tuple(bool(c) for c in row) for row in rows))


def normalised_row(row: Row, graph: UnitGraph) -> Row:
    """Return the row without computes whose result nobody reads."""
    return tuple(c and live for c, live in zip(row, graph.live(row), strict=True))


def work_of(row: Row, graph: UnitGraph) -> tuple[Work, ...]:
    """Return what happens to each unit at a step with this row."""
    return tuple(
        Work.SKIPPED if not live else Work.COMPUTED if c else Work.REUSED
        for c, live in zip(row, graph.live(row), strict=True)
    )


def _reuses(u: int, column: Sequence[Work]) -> Iterator[Reuse]:
    source, before = 0, None
    for step, work in enumerate(column[1:], start=1):
        if work is Work.COMPUTED:
            source, before = step, source
        elif work is Work.REUSED:
            yield Reuse(step, u, source, before)


def _bits(row: Row) -> int:
    return sum(1 << u for u, computes in enumerate(row) if computes)
