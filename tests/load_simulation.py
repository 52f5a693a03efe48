"""A service in virtual time: real admission, dispatch and replanning, no store, no model.

Runs take what their plan's median predicts, times a seeded stray; nothing else is made up.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from statistics import fmean
from typing import TYPE_CHECKING, Any

from app.admission import Admit, Ask, Load, admit
from app.admission import Queued as Refused
from app.contract.line import Line, Queued
from app.contract.ports import Backlog
from schedules.cost import Drift
from schedules.ladder import Ladder
from schedules.replanning import settle
from schedules.sharing import Arrival, Waiting
from workers.dispatch import Dispatch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.contract.cards import WorkerCard
    from schedules.book import Plan, PlanBook

OVERHEAD_MS = 8.0
STRAY = 0.02
ARRIVALS_KEPT = 32
ARRIVALS_TTL_MS = 60_000.0


@dataclass(slots=True)
class Request:
    """One request on its way; `plan` is what it was promised, then what it got."""

    id: str
    at_ms: float
    budget_ms: float
    plan: Plan | None = None
    predicted_ms: float = 0.0
    ended_ms: float | None = None

    @property
    def deadline_ms(self) -> float:
        return self.at_ms + self.budget_ms - OVERHEAD_MS


@dataclass
class Service:
    """Workers that share a plan book; `cards` say how fast each is."""

    book: PlanBook
    cards: list[WorkerCard]
    seed: int = 0
    now_ms: float = 0.0
    queue: list[Request] = field(default_factory=list)
    came: list[tuple[float, float, bool]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 a simulation
        self._order = count()
        steady = [card.costs.drifted(Drift(1.0, 1.0)) for card in self.cards]
        self._ladders = [Ladder.of(self.book, costs, 4) for costs in steady]
        self._idle = set(range(len(self.cards)))

    def run(self, arrivals: Sequence[tuple[float, float]]) -> Sequence[Request]:
        """Serve requests, each a moment and a budget in ms; return what became of them."""
        for at_ms, budget_ms in arrivals:
            self._at(at_ms, partial(self._arrive, budget_ms))
        while self.events:
            self.now_ms, _, happen = heapq.heappop(self.events)
            happen()
        return self.requests

    def _at(self, at_ms: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self.events, (at_ms, next(self._order), happen))

    def _arrive(self, budget_ms: float) -> None:
        request = Request(f"r{len(self.requests)}", self.now_ms, budget_ms)
        self.requests.append(request)
        verdict = admit(Ask(budget_ms), self.book, self._load(request))
        if isinstance(verdict, Refused):
            self._note(budget_ms, met_others=True)
        if not isinstance(verdict, Admit):
            return
        picked = verdict.choice.picked
        request.plan, request.predicted_ms = picked.plan, picked.predicted_ms
        self._note(budget_ms, self._met_others(verdict.wait_ms))
        self.queue = sorted([*self.queue, request], key=lambda waiting: waiting.deadline_ms)
        self._wake()

    def _met_others(self, wait_ms: float) -> bool:
        return wait_ms > 0

    def _wake(self) -> None:
        if self._idle:
            self._start(min(self._idle))

    def _note(self, budget_ms: float, met_others: bool) -> None:
        self.came = [*self.came, (self.now_ms, budget_ms, met_others)][-ARRIVALS_KEPT:]

    def _load(self, newcomer: Request) -> Load:
        line = self._seen()
        before = [one for one in line.queued if one.waiting.left_ms < newcomer.budget_ms]
        work_ms = sum(one.predicted_ms for one in before)
        backlog = Backlog(len(before), work_ms, line)
        return Load(self.cards, backlog, self.now_ms, OVERHEAD_MS)

    def _seen(self) -> Line:
        return self._line()

    def _line(self) -> Line:
        queued = tuple(
            Queued(r.id, "a", Waiting(r.deadline_ms - self.now_ms, 1, quality(r)), r.predicted_ms)
            for r in self.queue
        )
        fresh = [one for one in self.came if self.now_ms - one[0] < ARRIVALS_TTL_MS]
        came = tuple(Arrival(self.now_ms - at, 1, budget, met) for at, budget, met in fresh)
        return Line(queued, came, len(self.cards))

    def _start(self, worker: int) -> None:
        costs = self.cards[worker].costs
        dispatch = Dispatch(self._ladders[worker].drifted(costs, 4))
        chosen = set(dispatch(self._line()))
        batch = [request for request in self.queue if request.id in chosen]
        self.queue = [request for request in self.queue if request.id not in chosen]
        left_ms = min(request.deadline_ms for request in batch) - self.now_ms
        ordered = max(batch, key=quality).plan
        assert ordered is not None
        how = (left_ms, self.book, costs, dispatch.aim)
        priced = settle(ordered, *how, batch=len(batch))
        self._idle.discard(worker)
        self._busy(worker, self.now_ms + priced.predicted_ms)
        took_ms = priced.predicted_ms * self._chance.lognormvariate(0, STRAY)
        self._at(self.now_ms + took_ms, lambda: self._end(worker, batch, priced.plan))

    def _end(self, worker: int, batch: Sequence[Request], plan: Plan) -> None:
        for request in batch:
            request.plan, request.ended_ms = plan, self.now_ms
        self._idle.add(worker)
        self._busy(worker, 0.0)
        if self.queue:
            self._start(worker)

    def _busy(self, worker: int, until_ms: float) -> None:
        self.cards[worker] = self.cards[worker].copy(busy_until_unix_ms=until_ms)


def quality(request: Request) -> float:
    """Return how good the plan of a request is."""
    return request.plan.quality.value if request.plan else 0.0


def poisson(per_s: float, seconds: float, budgets_ms: Sequence[float], seed: int) -> Any:
    """Return arrivals in `seconds`, each a moment and one of the budgets, in milliseconds."""
    chance, at_ms, due = random.Random(seed), 0.0, []  # noqa: S311 a simulation
    while (at_ms := at_ms + chance.expovariate(per_s / 1000)) < seconds * 1000:
        due.append((at_ms, chance.choice(budgets_ms)))
    return due


def shares(requests: Sequence[Request]) -> dict[str, float]:
    """Say which share was accepted, which of those was in time, and how good they are."""
    accepted = [request for request in requests if request.ended_ms is not None]
    in_time = [r for r in accepted if (r.ended_ms or 0.0) <= r.deadline_ms + OVERHEAD_MS]
    return {
        "accepted": len(accepted) / len(requests),
        "in_time": len(in_time) / len(accepted),
        "quality": fmean(quality(request) for request in accepted),
    }
