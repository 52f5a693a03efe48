"""What comes between two steps of a batch, decided with stand-ins for the queue and the run."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from app.contract.errors import StoreUnavailable
from app.contract.ports import Claimed
from schedules.ladder import Ladder
from schedules.pausing import Underway
from tests.builders import a_job
from workers.pauses import Pauses

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schedules.replanning import Aim
    from workers.dispatch import Sooner

LADDER = Ladder.measured([0.5, 1.0], [(100.0,), (200.0,)])
LOOSE, TIGHT = Underway.predicted(2000.0, 900.0), Underway.predicted(950.0, 900.0)


class Run:
    """Stands for the pace and the lease of a run."""

    def __init__(self, underway: Underway) -> None:
        self.underway = underway
        self.aside_s: list[float] = []

    def paused(self) -> Any:
        return nullcontext()

    def aside(self, most_s: float) -> Any:
        self.aside_s.append(most_s)
        return nullcontext()


class Seen:
    """A lookout that always sees somebody."""

    def __init__(self) -> None:
        self.is_closed = False
        self.calls: list[str] = []

    def sees_before(self, _deadline_s: float) -> bool:
        return True

    def open(self, _in_s: float = 0.0) -> None:
        self.calls.append("open")

    def close(self) -> None:
        self.calls.append("close")

    def release(self) -> None:
        self.calls.append("release")


class Between:
    """Pauses of a run, for which `waiting` wait; `made` tells how much time each was made in."""

    def __init__(self, underway: Underway, *waiting: float, works: bool = True) -> None:
        self.run: Any = Run(underway)
        self.lookout: Any = Seen()
        self.told_ms: list[float] = []
        self.made: list[float] = []
        self._waiting, self._works = waiting, works
        self.pauses = self.taking(self.take)

    def taking(self, take: Callable[[Sooner], Sequence[Claimed]]) -> Pauses:
        told = self.told_ms.append
        return Pauses(self.lookout, self.run, LADDER, told, take, self.make)

    def take(self, _choose: Sooner) -> Sequence[Claimed]:
        return [Claimed(a_job(str(left)), 1, left, 0.0, 1) for left in self._waiting]

    def make(self, claims: Sequence[Claimed], _aim: Aim, most_ms: float) -> bool:
        assert most_ms == self.run.underway.slack_ms
        self.made += [claim.left_ms for claim in claims]
        return self._works

    def step(self) -> bool:
        """Let one step be over; return whether something came before the next."""
        other = self.pauses(self.run)
        if other is not None:
            other()
        return other is not None


def test_who_comes_first_is_held_to_what_the_run_can_spare() -> None:
    between = Between(LOOSE, 500.0, 1900.0)

    assert between.step()
    assert between.made == [500.0, LOOSE.slack_ms]
    assert between.run.aside_s == [2.0]


def test_a_run_without_slack_is_not_asked_to_stand_back() -> None:
    between = Between(TIGHT, 500.0)

    assert not between.step()
    assert between.lookout.calls == ["close"]


def test_who_could_not_come_first_is_not_asked_about_at_once() -> None:
    between = Between(LOOSE)

    assert not between.step()
    assert between.lookout.calls == ["open"]


def test_who_cannot_be_made_in_time_is_not_taken_again() -> None:
    between = Between(LOOSE, 500.0, works=False)

    assert between.step()
    assert between.lookout.calls[-1] == "release"


def test_what_is_left_is_told_after_each_step() -> None:
    between = Between(LOOSE)
    between.step()

    assert between.told_ms == [pytest.approx(900.0)]


def test_a_store_that_is_away_keeps_no_run_from_going_on() -> None:
    between = Between(LOOSE, 500.0)

    def away(_choose: Sooner) -> Sequence[Claimed]:
        raise StoreUnavailable("down")

    assert between.taking(away)(between.run) is None
