"""Pause a run between two steps for a batch with an earlier deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schedules.pausing import SWITCH_MS, Underway
from schedules.replanning import settle
from tests.stepwise.service import Stepwise, ordered
from workers.dispatch import Dispatch, Sooner

if TYPE_CHECKING:
    from app.contract.line import Line, Queued
    from schedules.replanning import Aim
    from tests.stepwise.runs import Run

DEEPEST = 2


class Pausing(Stepwise):
    """Who has to be done before a run is need not wait for its end, if the run stays in time.

    One run at most is paused. Newcomers are promised what that makes possible, and a run that
    begins need not leave time for those who can come before it.
    """

    def _between(self) -> None:
        run = self.runs[-1]
        if len(self.runs) == DEEPEST or run.only_ends:
            return
        underway = Underway.predicted(run.deadline_ms() - self.now_ms, run.left_ms())
        choose = Sooner(self._ladder, underway)
        batch = self._taken(choose(self._line()))
        if batch:
            own_ms = min(request.deadline_ms for request in batch) - self.now_ms
            how = (min(own_ms, underway.slack_ms), self.book, self._costs, choose.aim)
            self._run(batch, settle(ordered(batch), *how, batch=len(batch)).plan)
            self._switch_ms = SWITCH_MS
            self.changes += 1

    def _standing(self) -> list[tuple[Run, Underway, bool]]:
        """Return the runs, the one that runs first, and whether a newcomer may come before each."""
        found, held_up_ms = [], 0.0
        for n, run in enumerate(reversed(self.runs)):
            left_ms = run.deadline_ms() - self.now_ms - held_up_ms
            underway = Underway.predicted(left_ms, run.left_ms())
            held_up_ms += underway.rest_ms
            full = len(self.runs) == DEEPEST and n == 0
            found.append((run, underway, underway.yields(self._ladder) and not full))
        return found

    def _underway(self) -> list[Queued]:
        return [
            self._shown(run, underway.rest_ms)
            for run, underway, yields in self._standing()
            if yields
        ]

    def _announce(self, part_ms: float) -> None:
        busy_ms = sum(run.left_ms() for run, _, yields in self._standing() if not yields)
        self._busy(0, self.now_ms + (busy_ms or part_ms))

    def _choice(self, line: Line) -> tuple[list[str], Aim]:
        most = self._ladder.max_batch
        dispatch = Dispatch(self._ladder, room=lambda images: most - images)
        return dispatch(line), dispatch.aim
