"""The few plans that all share when there is a crowd."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Self

from schedules.planner import prices
from schedules.recalling import recalled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schedules.book import PlanBook
    from schedules.cost import CostModel
    from schedules.planner import Priced

# Each rung costs at least so many times the one below: few enough that jobs meet on the same one.
STRIDE = 1.2


@dataclass(frozen=True, slots=True)
class Ladder:
    """A few plans of rising quality and cost, in milliseconds (95th percentiles).

    `batch_ms[r][b-1]` is what b pictures at once take at rung r, `each_ms[r]` what one of them does
    in the batch that saves most, `lone_ms[r]` what an unfilled batch takes beyond such a share.
    """

    qualities: tuple[float, ...]
    batch_ms: tuple[tuple[float, ...], ...]
    each_ms: tuple[float, ...]
    lone_ms: tuple[float, ...]

    @classmethod
    def of(cls, book: PlanBook, costs: CostModel, max_batch: int) -> Self:
        """Choose rungs from the frontier of a plan book: the fastest, the best, some between."""
        frontier = _frontier(prices(book.plans, costs))
        rungs = [frontier[i].plan for i in _spread([offer.p95_ms for offer in frontier])]
        sizes = range(1, max_batch + 1)
        columns = [[o.p95_ms for o in prices(rungs, costs, batch=size)] for size in sizes]
        return cls.measured([p.quality.value for p in rungs], list(zip(*columns, strict=True)))

    @classmethod
    def measured(cls, qualities: Sequence[float], batch_ms: Sequence[tuple[float, ...]]) -> Self:
        """Build a ladder; a rung counts for no cheaper than the one below."""
        each = [min(ms / b for b, ms in enumerate(row, start=1)) for row in batch_ms]
        lone = [row[0] - share for row, share in zip(batch_ms, each, strict=True)]
        rising = tuple(accumulate(each, max)), tuple(accumulate(lone, max))
        return cls(tuple(qualities), tuple(batch_ms), *rising)

    def drifted(self, costs: CostModel, most: int) -> Ladder:
        """Return this ladder, made with costs that did not drift, by costs that do.

        No more than `most` pictures are made at once.
        """
        return _drifted(self, costs, most)

    @property
    def top(self) -> int:
        """The highest rung, where nobody is limited."""
        return len(self.qualities) - 1

    @property
    def max_batch(self) -> int:
        """How many pictures can be made at once."""
        return len(self.batch_ms[0])

    def limit(self, rung: int) -> float:
        """Return the quality that a ceiling at this rung allows: at the top any."""
        return float("inf") if rung >= self.top else self.qualities[rung]

    def rung_of(self, quality: float) -> int:
        """Return the lowest rung that is at least so good, the top when none is."""
        return bisect_left(self.qualities, quality, hi=len(self.qualities) - 1)

    def run_ms(self, rung: int, images: int) -> float:
        """Return what a batch takes; beyond the largest one as much more as it is larger."""
        row = self.batch_ms[rung]
        if images <= len(row):
            return row[images - 1]
        return row[-1] * images / len(row)

    def runs_ms(self, images: int) -> list[float]:
        """Return what a batch takes at each rung."""
        return [self.run_ms(rung, images) for rung in range(len(self.batch_ms))]


@recalled(64)
def _drifted(steady: Ladder, costs: CostModel, most: int) -> Ladder:
    level, sizes = costs.drift.median, range(1, min(most, steady.max_batch) + 1)
    strays_ms = [costs.stray_ms(batch) for batch in sizes]
    rows = [
        tuple(ms * level + stray_ms for ms, stray_ms in zip(row, strays_ms, strict=False))
        for row in steady.batch_ms
    ]
    return Ladder.measured(steady.qualities, rows)


def _frontier(offers: Sequence[Priced]) -> list[Priced]:
    """Return the offers that no cheaper one matches in quality, cheapest first."""
    best: list[Priced] = []
    for offer in sorted(offers, key=lambda o: (o.p95_ms, -o.plan.quality.value)):
        if not best or offer.plan.quality.value > best[-1].plan.quality.value:
            best.append(offer)
    return best


def _spread(rising_ms: Sequence[float]) -> list[int]:
    """Return which of rising times lie a stride apart, the first and the last among them."""
    chosen = [0]
    for i, ms in enumerate(rising_ms):
        if ms >= STRIDE * rising_ms[chosen[-1]] and ms * STRIDE <= rising_ms[-1]:
            chosen.append(i)
    return sorted({*chosen, len(rising_ms) - 1})
