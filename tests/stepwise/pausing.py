"""Pause a run between two steps for a batch with an earlier deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schedules.batching import compose, turn
from schedules.replanning import Aim, settle
from schedules.sharing import Crew, expected, kept
from tests.stepwise.service import MARGIN, SWITCH_MS, Stepwise, Underway, ordered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.line import Line, Queued
    from schedules.sharing import Waiting
    from tests.stepwise.runs import Run

DEEPEST = 2
# Predicted ends are late by so much, when it is asked whether waiting for them would do.
LATE = 1.01
FREE = Crew((0.0,), (1.0,))


class Pausing(Stepwise):
    """Who has to be done before a run is need not wait for its end, if the run stays in time.

    One run at most is paused. Newcomers are promised what that makes possible, and a run that
    begins need not leave time for those who can come before it.
    """

    def _between(self) -> None:
        run, line = self.runs[-1], self._line()
        if len(self.runs) == DEEPEST or run.only_ends:
            return
        first = turn([one.waiting for one in line.queued], self._ladder)
        left_ms = run.deadline_ms() - self.now_ms
        sooner = [one for one in line.queued[first:] if one.waiting.left_ms < left_ms]
        if sooner:
            self._pause_for(sooner, line, run.left_ms() * LATE)

    def _pause_for(self, sooner: Sequence[Queued], line: Line, wait_ms: float) -> None:
        """Begin the largest batch of those that is in time, unless waiting costs it nothing."""
        rest = [one.waiting for one in line.queued if one not in sooner]
        runs = [one.waiting for one in self._underway()]
        waiting, coming = [one.waiting for one in sooner], expected(line.arrivals)
        best = compose(waiting, [*rest, *runs], coming, self._ladder, upgrade=False)
        for size in range(best.size, 0, -1):
            if self._decided(sooner[:size], Aim(best.limit), wait_ms):
                break

    def _decided(self, chosen: Sequence[Queued], aim: Aim, wait_ms: float) -> bool:
        ids = [one.id for one in chosen]
        batch = [request for request in self.queue if request.id in ids]
        how, size = (self.book, self._costs, aim), len(batch)
        own_ms = min(request.deadline_ms for request in batch) - self.now_ms
        left_ms = min(own_ms, *(slack_ms for _, slack_ms in self._slacks()))
        now = settle(ordered(batch), left_ms, *how, batch=size)
        later = settle(ordered(batch), own_ms - wait_ms, *how, batch=size)
        can_wait = later.p95_ms <= own_ms - wait_ms
        if can_wait and later.plan.quality.value >= now.plan.quality.value:
            return True
        if now.p95_ms > left_ms:
            return False
        self._run(self._taken(ids), now.plan)
        self._switch_ms = SWITCH_MS
        self.changes += 1
        return True

    def _slacks(self) -> list[tuple[Run, float]]:
        """Return the runs, the one that runs first, with how long each could be held up."""
        found, work_ms = [], 0.0
        for run in reversed(self.runs):
            work_ms += run.left_ms() * MARGIN + 2 * SWITCH_MS
            found.append((run, run.deadline_ms() - self.now_ms - work_ms))
        return found

    def _yielding(self) -> list[bool]:
        """Return for each run, the one that runs first, whether a newcomer may come before it."""
        fastest_ms, full = self._ladder.batch_ms[0][0], len(self.runs) == DEEPEST
        enough = [slack_ms >= fastest_ms for _, slack_ms in self._slacks()]
        return [yields and not (full and n == 0) for n, yields in enumerate(enough)]

    def _underway(self) -> list[Queued]:
        yielding = [run for run, yields in self._standing() if yields]
        return [self._shown(run, run.left_ms() * MARGIN + 2 * SWITCH_MS) for run in yielding]

    def _standing(self) -> list[tuple[Run, bool]]:
        return list(zip(reversed(self.runs), self._yielding(), strict=True))

    def _announce(self, part_ms: float) -> None:
        busy_ms = sum(run.left_ms() for run, yields in self._standing() if not yields)
        self._busy(0, self.now_ms + (busy_ms or part_ms))

    def _choice(self, line: Line) -> tuple[list[str], Aim]:
        chosen, aim = super()._choice(line)
        members = [one.waiting for one in line.queued if one.id in chosen]
        rest = [one.waiting for one in line.queued if one.id not in chosen]
        highest = self._highest(members, [*rest, *expected(line.arrivals)])
        rung = max(highest, self._ladder.rung_of(min(aim.limit, 1.0)))
        return chosen, Aim(self._ladder.limit(rung), aim.up)

    def _highest(self, members: Sequence[Waiting], rest: Sequence[Waiting]) -> int:
        """Return the ceiling for a batch before whose end those with earlier deadlines come."""
        ladder, left_ms = self._ladder, min(member.left_ms for member in members)
        least_ms = ladder.run_ms(0, len(members))

        def keeps(rung: int) -> frozenset[int]:
            run_ms = min(ladder.run_ms(rung, len(members)), max(left_ms, least_ms))
            batch = Underway(left_ms, run_ms / ladder.each_ms[0])  # type: ignore[arg-type]
            return kept((*rest, batch), ladder, FREE, rung) - {len(rest)}

        keepable = keeps(0)
        return max(rung for rung in range(ladder.top + 1) if not rung or keepable <= keeps(rung))
