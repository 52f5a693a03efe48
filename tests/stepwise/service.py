"""A worker in virtual time that may do something else between two steps of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from app.contract.line import Queued
from schedules.pausing import Underway
from schedules.replanning import settle
from tests.load_simulation import STRAY, Request, Service, quality
from tests.stepwise.runs import Member, Price, Run
from workers.dispatch import Dispatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.line import Line
    from schedules.book import Plan
    from schedules.replanning import Aim

MOST = 4


class Stepwise(Service):
    """One worker, asked between two parts of a run what comes next; this one just goes on.

    The last of `runs` runs, the others are paused.
    """

    ragged = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.runs: list[Run] = []
        self.changes = 0
        self._costs = self.cards[0].costs
        self._ladder = self._ladders[0].drifted(self._costs, MOST)
        self._price = Price(self.book, self._costs, MOST, ragged=self.ragged)
        self._switch_ms = 0.0

    def _between(self) -> None:
        """Change what comes next, while somebody waits."""

    def _underway(self) -> list[Queued]:
        """Return the runs that a newcomer may come before."""
        return []

    def _announce(self, part_ms: float) -> None:
        """Say when the worker is free for a newcomer, as the next part begins."""

    def _choice(self, line: Line) -> tuple[list[str], Aim]:
        """Return whom a free worker takes, and how good that may be made."""
        dispatch = Dispatch(self._ladder)
        return dispatch(line), dispatch.aim

    def _met_others(self, wait_ms: float) -> bool:
        return wait_ms > 0 or bool(self.runs)

    def _seen(self) -> Line:
        line = self._line()
        both = sorted([*line.queued, *self._underway()], key=lambda one: one.waiting.left_ms)
        return replace(line, queued=tuple(both))

    def _wake(self) -> None:
        if not self.runs:
            self._next()

    def _next(self) -> None:
        if self.queue:
            (self._between if self.runs else self._begin)()
        if self.runs:
            self._go_on()
        else:
            self._busy(0, 0.0)

    def _begin(self) -> None:
        chosen, aim = self._choice(self._line())
        batch = self._taken(chosen)
        left_ms = min(request.deadline_ms for request in batch) - self.now_ms
        priced = settle(ordered(batch), left_ms, self.book, self._costs, aim, batch=len(batch))
        self._run(batch, priced.plan)
        self._busy(0, self.now_ms + priced.predicted_ms)

    def _taken(self, ids: Sequence[str]) -> list[Request]:
        """Take those out of the queue."""
        batch = [request for request in self.queue if request.id in ids]
        self.queue = [request for request in self.queue if request.id not in ids]
        return batch

    def _run(self, batch: Sequence[Request], plan: Plan) -> None:
        stray = self._chance.lognormvariate(0, STRAY)
        self.runs.append(Run([Member(request, plan) for request in batch], self._price, stray))

    def _go_on(self) -> None:
        run = self.runs[-1]
        part_ms, self._switch_ms = run.part_ms() + self._switch_ms, 0.0
        self._announce(part_ms)
        self._at(self.now_ms + part_ms * run.stray, self._part_done)

    def _part_done(self) -> None:
        run = self.runs[-1]
        for member in run.advance():
            member.request.plan, member.request.ended_ms = member.plan, self.now_ms
        if not run.members:
            self.runs.pop()
        self._next()

    def _shown(self, run: Run, left_ms: float) -> Queued:
        """Return a run as somebody who waits for so much work."""
        waiting = Underway(run.deadline_ms() - self.now_ms, rest_ms=left_ms)
        return Queued("run", "run", waiting, left_ms)


def ordered(batch: Sequence[Request]) -> Plan:
    """Return the best plan that one of a batch was promised."""
    plan = max(batch, key=quality).plan
    assert plan is not None
    return plan
