"""Admission: whether a request can be promised its budget now, and by which plan.

Laws of this file:
1. The plan must fit the worker that is expected to be free first. Of several that are free at the
   same time any may claim the job, so the slowest of them counts.
2. An admitted plan satisfies wait + p95 + overhead <= budget, all in milliseconds. Where none does
   and nobody waits, the fastest is tried while at least the medians fit: better odds than none.
   Nobody is let in for whom somebody who waits would be late.
3. "Too small" is said only of a budget that an idle fleet would refuse as well.
4. A run that stands back for earlier deadlines waits like a job, and its worker is free once that
   is noticed, after a step.
5. While others wait or are expected, a plan is no better than the ceiling that all of them share
   (`schedules.sharing`).
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from app.contract.line import Queued as InLine
from app.contract.ports import Backlog
from app.contract.values import Value
from app.tariffs import Tariffs
from schedules.pausing import Underway
from schedules.planner import Choice, Infeasible, fastest, pick
from schedules.sharing import Crew, Room, Waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.cards import WorkerCard
    from app.tariffs import Tariff
    from schedules.book import PlanBook, Quality

# How long a worker may take to see somebody who has to come before what it does.
NOTICED_MS = 25.0
OVERHEAD_SAMPLES = 64
OVERHEAD_START_MS = 8.0


class Ask(Value, frozen=True):
    """What is to be promised: a time, a number of pictures, a quality floor."""

    budget_ms: float
    images: int = 1
    min_quality: float = 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """What stands in the way: the workers, queued work with earlier deadlines, own overhead.

    The overhead is seldom so long: `overhead_stray_ms` of it are beyond the median.
    """

    cards: Sequence[WorkerCard]
    backlog: Backlog
    now_unix_ms: float
    overhead_ms: float
    overhead_stray_ms: float = 0.0
    tariffs: Tariffs = field(default_factory=Tariffs, compare=False, repr=False)


class Admit(Value, frozen=True):
    """The request is promised its budget; `minimum_ms` is the least that would be promised now."""

    choice: Choice
    card: WorkerCard
    wait_ms: float
    minimum_ms: float


@dataclass(frozen=True, slots=True)
class TooSmall:
    """No plan fits on an idle fleet; a budget of `minimum_ms` would."""

    minimum_ms: float


@dataclass(frozen=True, slots=True)
class TooGood:
    """The quality floor lies above the best plan."""

    best: Quality


@dataclass(frozen=True, slots=True)
class Queued:
    """Only the queue is in the way: try again in `retry_after_s`, or with `minimum_ms`."""

    retry_after_s: int
    minimum_ms: float


@dataclass(frozen=True, slots=True)
class Nobody:
    """No worker is ready."""


Verdict = Admit | TooSmall | TooGood | Queued | Nobody


def admit(ask: Ask, book: PlanBook, load: Load) -> Verdict:
    """Decide on a request. Under the same load, more budget never gives worse quality."""
    if not load.cards:
        return Nobody()
    load = _with_underway(load, ask.budget_ms)
    tariffs = load.tariffs.of(book, load.cards)
    best = tariffs[0].of(ask.images)[0].plan.quality
    if ask.min_quality > best.value:
        return TooGood(best)
    tariff = expected_tariff(load, tariffs)
    room = room_of(load, tariff)
    wait_ms, outcome = _shared(ask, load, tariff, room)
    if isinstance(outcome, Infeasible) and not wait_ms and _has_odds(ask, outcome, load):
        ample = ask.copy(budget_ms=outcome.minimum_ms)
        outcome = _planned(ample, tariff, load.overhead_ms)
    if room is None and outcome is not None:
        least_ms = _whole(wait_ms + load.overhead_ms + outcome.fastest.p95_ms)
    else:
        gone_ms = expected_wait_ms(load, tariff.card, room) + load.overhead_ms
        least_ms = minimum_ms(ask, tariff, gone_ms)
    if isinstance(outcome, Choice):
        return Admit(outcome, tariff.card, wait_ms, least_ms)
    return _refuse(ask, load, tariffs, least_ms)


def _shared(
    ask: Ask, load: Load, tariff: Tariff, room: Room | None
) -> tuple[float, Choice | Infeasible | None]:
    """Return the wait and the best plan under the ceiling that those who wait share with this one.

    None stands for a plan where somebody who waits would have to be late.
    """
    if room is None:
        wait_ms = expected_wait_ms(load, tariff.card, None)
        return wait_ms, _planned(ask, tariff, wait_ms + load.overhead_ms)
    newcomer = Waiting(ask.budget_ms - load.overhead_ms, ask.images, floor=ask.min_quality)
    ample = room.is_ample_for(newcomer)
    if not ample and not room.has_place_for(newcomer):
        return expected_wait_ms(load, tariff.card, room), None
    highest = room.ladder.top if ample else room.ceiling_with(newcomer)
    for rung in range(highest, -1, -1):
        wait_ms = expected_wait_ms(load, tariff.card, room, rung)
        limit = room.ladder.limit(rung)
        outcome = _planned(ask, tariff, wait_ms + load.overhead_ms, limit)
        if isinstance(outcome, Choice):
            break
    return wait_ms, outcome


def _with_underway(load: Load, budget_ms: float) -> Load:
    """Return the load with runs that others may come before among those who wait."""
    runs = [_underway(card, load.now_unix_ms) for card in load.cards if card.due_unix_ms]
    if not runs:
        return load
    backlog, sooner = load.backlog, [run for run in runs if run.waiting.left_ms < budget_ms]
    everyone = sorted([*backlog.line.queued, *runs], key=lambda one: one.waiting.left_ms)
    work_ms = backlog.work_ms + sum(run.predicted_ms for run in sooner)
    line = replace(backlog.line, queued=tuple(everyone))
    return replace(load, backlog=Backlog(backlog.jobs + len(sooner), work_ms, line))


def _underway(card: WorkerCard, now_unix_ms: float) -> InLine:
    # Until others come it goes on.
    busy_ms = max(card.busy_until_unix_ms - now_unix_ms, 0.0)
    rest_ms = max(busy_ms - _free_in_ms(card, now_unix_ms), 0.0)
    run = Underway.predicted(card.due_unix_ms - now_unix_ms, rest_ms)
    return InLine(card.worker, "", run, run.rest_ms)


def _free_in_ms(card: WorkerCard, now_unix_ms: float) -> float:
    """Return when a worker can begin with somebody who has to be done soon."""
    if not card.due_unix_ms or card.busy_until_unix_ms <= now_unix_ms:
        return max(0.0, card.busy_until_unix_ms - now_unix_ms)
    return max(0.0, card.yields_from_unix_ms - now_unix_ms, NOTICED_MS + _full_step_ms(card))


def room_of(load: Load, tariff: Tariff) -> Room | None:
    """Return what a request finds, in times of one worker; None: nobody waits or is expected."""
    line = load.backlog.line
    if not line.queued and not line.coming:
        return None
    return Room(line.crowd(tariff.ladder), _crew(load, tariff.card))


def _crew(load: Load, card: WorkerCard) -> Crew:
    """Return when each worker is free, and how much faster than `card`'s it is."""
    free_ms = (_free_in_ms(c, load.now_unix_ms) for c in load.cards)
    if len(load.cards) == 1:
        return Crew(tuple(free_ms), (1.0,))
    speeds = (_full_step_ms(card) / _full_step_ms(c) for c in load.cards)
    return Crew(tuple(free_ms), tuple(speeds))


def _full_step_ms(card: WorkerCard) -> float:
    return card.costs.at(1).full_step_ms * card.costs.drift.median


def expected_wait_ms(load: Load, card: WorkerCard, room: Room | None, ceiling: int = 0) -> float:
    """Until a worker is free that did its share of the work with earlier deadlines.

    Who waits is made at a ceiling, by default as fast as may be.
    """
    backlog = load.backlog
    # Work too far back in line to be seen one by one.
    unseen_ms = max(0.0, backlog.work_ms - backlog.line.predicted_ms(backlog.jobs))
    if room is None:
        return _crew(load, card).after(unseen_ms)
    return room.wait_ms(backlog.jobs, ceiling, unseen_ms)


def _planned(
    ask: Ask, tariff: Tariff, taken_ms: float, limit: float = math.inf
) -> Choice | Infeasible:
    return pick(ask.budget_ms, taken_ms, tariff.within(ask.images, ask.min_quality, limit))


def _has_odds(ask: Ask, outcome: Infeasible, load: Load) -> bool:
    """Return whether, with nobody waiting, it would as likely be in time as not."""
    usual_ms = load.overhead_ms - load.overhead_stray_ms
    return usual_ms + outcome.fastest.predicted_ms <= ask.budget_ms


def expected_tariff(load: Load, tariffs: Sequence[Tariff]) -> Tariff:
    """Return that of the worker the plan must fit: of those free first, the slowest."""
    free_ms = [_free_in_ms(tariff.card, load.now_unix_ms) for tariff in tariffs]
    first_ms = min(free_ms)
    return slowest([t for t, free in zip(tariffs, free_ms, strict=True) if free == first_ms])


def slowest(tariffs: Sequence[Tariff]) -> Tariff:
    """Return that of the worker that takes longest for its fastest plan."""
    if len(tariffs) == 1:
        return tariffs[0]
    return max(tariffs, key=lambda tariff: minimum_ms(Ask(0.0), tariff, 0.0))


def minimum_ms(ask: Ask, tariff: Tariff, taken_ms: float) -> float:
    """Return the smallest whole budget that one worker can promise when `taken_ms` are gone."""
    able = tariff.within(ask.images, ask.min_quality)
    return _whole(taken_ms + fastest(able).p95_ms)


def _whole(ms: float) -> float:
    return float(math.ceil(ms))


def _refuse(ask: Ask, load: Load, tariffs: Sequence[Tariff], needed_ms: float) -> TooSmall | Queued:
    idle = _planned(ask, slowest(tariffs), load.overhead_ms)
    if isinstance(idle, Infeasible) and not _has_odds(ask, idle, load):
        return TooSmall(_whole(idle.minimum_ms))
    return Queued(max(1, math.ceil((needed_ms - ask.budget_ms) / 1000)), needed_ms)


class Overhead:
    """What the gateway itself adds to a job: the 95th percentile of the last requests.

    It starts as if a full window of quick requests had been seen, so that one slow answer does
    not frighten the planner.
    """

    def __init__(self, start_ms: float = OVERHEAD_START_MS) -> None:
        self._start_ms = start_ms
        self._seen = deque([start_ms] * OVERHEAD_SAMPLES)
        self._rising = list(self._seen)

    def observe(self, overhead_ms: float) -> None:
        """Take in the time one request took beyond waiting in the queue and making pictures."""
        self._replace_oldest(max(0.0, overhead_ms))

    def relax(self) -> None:
        """Forget one request after a refusal, which could never correct a pessimistic figure."""
        self._replace_oldest(self._start_ms)

    def _replace_oldest(self, overhead_ms: float) -> None:
        # Kept in order, as it is asked for more than once for every request.
        del self._rising[bisect_left(self._rising, self._seen.popleft())]
        self._seen.append(overhead_ms)
        insort(self._rising, overhead_ms)

    @property
    def stray_ms(self) -> float:
        """How far that is beyond the median."""
        middle = OVERHEAD_SAMPLES // 2
        return self.p95_ms - (self._rising[middle - 1] + self._rising[middle]) / 2

    @property
    def p95_ms(self) -> float:
        """95 of the last 100 requests added no more than this."""
        return self._rising[math.ceil(0.95 * OVERHEAD_SAMPLES) - 1]
