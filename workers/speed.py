"""How fast this machine is by now, against the costs that were measured at start."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schedules.cost import drift_of, extra_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schedules.cost import CostModel
    from workers.batch import Ran

RUNS_KEPT = 64
BRIEF_MS = 20.0
TOGETHER_S = 0.25


@dataclass(frozen=True, slots=True)
class Took:
    """What some work took, beside the time that costs predicted for it."""

    predicted_ms: float
    actual_ms: float


class Speed:
    """The costs of now: those measured once, corrected by what recent runs really took.

    `warm_up` is what pictures took so far, predicted with the measured costs. Brief runs are learnt
    from together: between them the costs stay the very same for a moment.
    """

    def __init__(
        self,
        measured: CostModel,
        warm_up: Sequence[Took] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._measured = measured
        self._runs = deque(warm_up, maxlen=RUNS_KEPT)
        self._strays: deque[float] = deque(maxlen=RUNS_KEPT)
        self._extra_ms = 0.0
        self._correct()

    def ran(self, ran: Ran) -> None:
        """Learn from a batch that was predicted with the costs of now."""
        if ran.tail_ms:
            self._strays.append(ran.stray)
        self.probed(Took(ran.worked_ms, ran.rendered.total_ms))

    def probed(self, took: Took) -> None:
        """Learn from a picture that was predicted with the costs of now."""
        measured_ms = took.predicted_ms / self.costs.drift.median - self._extra_ms
        if measured_ms > 0:
            self._runs.append(Took(measured_ms, took.actual_ms))
        if took.actual_ms > BRIEF_MS or self._clock() - self._corrected_s > TOGETHER_S:
            self._correct()

    def _correct(self) -> None:
        self._corrected_s = self._clock()
        measured_ms = [run.predicted_ms for run in self._runs]
        actual_ms = [run.actual_ms for run in self._runs]
        self._extra_ms = extra_of(measured_ms, actual_ms, self._extra_ms)
        ratios = [run.actual_ms / (run.predicted_ms + self._extra_ms) for run in self._runs]
        drift = drift_of(ratios, self._strays)
        self.costs = self._measured.with_extra(self._extra_ms).drifted(drift)


class Idleness:
    """Says when a worker has idled for so long that it no longer knows how fast it is.

    That is after `first_s`, and then after pauses that double up to `most_s`, until it works again.
    """

    def __init__(
        self, first_s: float, most_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._clock = clock
        self.worked()

    def worked(self) -> None:
        """Begin anew after work."""
        self._pause_s = self._first_s
        self._due_s = self._clock() + self._pause_s

    def probed(self) -> None:
        """Wait for longer than the last time."""
        self._pause_s = min(2 * self._pause_s, self._most_s)
        self._due_s = self._clock() + self._pause_s

    @property
    def is_long(self) -> bool:
        """Whether it is time for a probe."""
        return self._clock() >= self._due_s
