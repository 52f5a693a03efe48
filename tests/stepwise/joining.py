"""Let jobs join a running batch between two steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schedules.batching import turn
from schedules.pausing import MARGIN
from schedules.planner import price
from schedules.replanning import Aim, settle
from tests.stepwise.runs import Member
from tests.stepwise.service import MOST, Stepwise

if TYPE_CHECKING:
    from app.contract.line import Queued
    from schedules.book import Plan
    from tests.load_simulation import Request
    from tests.stepwise.runs import Run


class Joining(Stepwise):
    """The most urgent join, each by a plan of its own, while that saves time and all are in time.

    Nobody joins who would get a better picture after the run.
    """

    def _between(self) -> None:
        run = self.runs[-1]
        while self.queue and len(run.members) < MOST:
            request = self.queue[turn([q.waiting for q in self._line().queued], self._ladder)]
            plan = self._joinable(run, request)
            if plan is None:
                break
            run.members.extend(Member(taken, plan) for taken in self._taken([request.id]))
            self.changes += 1

    def _joinable(self, run: Run, request: Request) -> Plan | None:
        assert request.plan is not None
        left_ms, alone_ms = request.deadline_ms - self.now_ms, run.left_ms()
        how = (self.book, self._costs, Aim())
        later = settle(request.plan, left_ms - alone_ms, *how)
        least = later.plan.quality.value if later.p95_ms <= left_ms - alone_ms else 0.0
        best = settle(request.plan, left_ms, *how).plan
        lesser = [p for p in self._frontier if least <= p.quality.value < best.quality.value]
        tried = [best, *reversed(lesser)] if best.quality.value >= least else []
        return next((p for p in tried if self._fits(run, Member(request, p), alone_ms)), None)

    @property
    def _frontier(self) -> tuple[Plan, ...]:
        return self.book.frontier(self._costs)

    def _fits(self, run: Run, newcomer: Member, alone_ms: float) -> bool:
        """Return whether that takes less time together than apart, and all are in time."""
        ends = list(run.ends_ms([newcomer]))
        apart_ms = alone_ms + price(newcomer.plan, self._costs).predicted_ms
        in_time = (self.now_ms + at * MARGIN <= m.request.deadline_ms for m, at in ends)
        return max(at for _, at in ends) < apart_ms and all(in_time)

    def _underway(self) -> list[Queued]:
        return [self._shown(run, run.left_ms() * MARGIN + 2) for run in self.runs]

    def _announce(self, part_ms: float) -> None:
        self._busy(0, self.now_ms + part_ms)


class RaggedJoining(Joining):
    """Each unit of a call serves those alone whose rows compute it: no worker saves more work."""

    ragged = True
