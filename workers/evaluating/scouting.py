"""A few rounds of timing before all pictures are made: how fast methods are, each in its turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median, median_high
from typing import TYPE_CHECKING

from workers.evaluating.comparison import TIE
from workers.evaluating.methods import take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from workers.evaluating.methods import Method, Subject, Take
    from workers.pipeline import Model

    Progress = Callable[[str, int, int], None]


@dataclass(slots=True, eq=False)
class Scout:
    """Times methods beside the uncached run; once those that follow one schedule."""

    model: Model
    uncached: Method
    subjects: Sequence[Subject]
    rounds: int
    progress: Progress
    _pairs: dict[str, list[list[Take]]] = field(default_factory=dict)

    def speed_up(self, method: Method) -> float:
        """Return how many times faster than uncached a method is."""
        return median(whole.ms / one.ms for whole, one in self._timed(method))

    def counts(self, methods: Iterable[Method]) -> list[int]:
        """Return how many uncached steps are as quick as each method."""
        found = {n for method in methods for n in equal_counts(self._timed(method))}
        return sorted(found)

    def _timed(self, method: Method) -> list[list[Take]]:
        # Corrections take no longer than what counts of whole steps differ by.
        key = method.name if method.enable else method.frame.schedule.digest
        if key not in self._pairs:
            self._pairs[key] = list(self._rounds(method))
            self.progress("timing", len(self._pairs), len(self._pairs))
        return self._pairs[key]

    def _rounds(self, method: Method) -> Iterator[list[Take]]:
        for done in range(self.rounds):
            subject = self.subjects[done % len(self.subjects)]
            yield [take(self.model, one, subject) for one in (self.uncached, method)]


def equal_counts(scouted: Sequence[Sequence[Take]]) -> list[int]:
    """Return how many uncached steps take no longer than each method, and one less, ascending.

    `scouted` holds rounds of takes, the uncached one first. Counts of 0 and of all steps are left
    out. One step less is there for when more pictures show that the other takes longer.
    """
    uncached, *others = zip(*scouted, strict=True)
    counts = {
        median_high(
            _steps_within(whole, one.ms) for whole, one in zip(uncached, takes, strict=True)
        )
        for takes in others
    }
    counts |= {count - 1 for count in counts}
    return sorted(counts - {-1, 0, len(uncached[0].elapsed_ms)})


def _steps_within(uncached: Take, ms: float) -> int:
    return sum(elapsed <= ms * TIE for elapsed in uncached.elapsed_ms)
