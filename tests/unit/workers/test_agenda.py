"""What a card says of what its worker has begun."""

from __future__ import annotations

import pytest

from tests.unit.workers.test_pace import Clock
from workers.agenda import Agenda

NOW = 5_000


class Told:
    """An agenda on a clock of its own; `news` counts what others should know at once."""

    def __init__(self) -> None:
        self.clock, self.news = Clock(), 0
        self.agenda = Agenda(self.hear, self.clock)

    def hear(self) -> None:
        self.news += 1

    def after(self, ms: float) -> dict[str, int]:
        self.clock.now_s += ms / 1e3
        return self.agenda.told(NOW)


def test_nothing_begun_is_nothing_told() -> None:
    assert Told().after(0.0) == {}


def test_a_batch_that_nobody_comes_before_is_busy_until_its_end() -> None:
    told = Told()
    told.agenda.begin(300.0)

    assert told.after(100.0) == {"busy_until_unix_ms": NOW + 200}


def test_a_batch_with_slack_says_until_when_it_has_to_be_done() -> None:
    told = Told()
    told.agenda.begin(300.0, 1000.0, least_ms=50.0)

    assert told.after(100.0) == {
        "busy_until_unix_ms": NOW + 200,
        "yields_from_unix_ms": NOW,
        "due_unix_ms": NOW + 900,
    }


def test_a_batch_without_slack_for_the_shortest_is_simply_busy() -> None:
    told = Told()
    told.agenda.begin(300.0, 1000.0, least_ms=700.0)

    assert told.after(0.0) == {"busy_until_unix_ms": NOW + 300}


def test_a_batch_that_is_held_yields_to_nobody_and_others_know_at_once() -> None:
    told = Told()
    told.agenda.begin(300.0, 1000.0, least_ms=50.0)
    news = told.news
    told.agenda.hold()

    assert told.after(0.0) == {"busy_until_unix_ms": NOW + 300}
    assert told.news == news + 1


@pytest.mark.parametrize(("taking_ms", "yields"), [(100.0, True), (650.0, False)])
def test_a_paused_batch_waits_for_the_one_before_it(taking_ms: float, yields: bool) -> None:
    told = Told()
    told.agenda.begin(300.0, 1000.0, least_ms=50.0)
    told.agenda.begin(taking_ms)
    card = told.after(50.0)

    assert card["busy_until_unix_ms"] == NOW + taking_ms - 50 + 300
    assert card.get("yields_from_unix_ms") == (NOW + taking_ms - 50 if yields else None)


def test_when_a_batch_goes_on_the_one_before_it_is_over() -> None:
    told = Told()
    told.agenda.begin(300.0, 1000.0, least_ms=50.0)
    told.agenda.begin(100.0)

    assert told.agenda.end(1)
    assert not told.agenda.end(1)
    assert told.after(0.0)["busy_until_unix_ms"] == NOW + 300


def test_others_hear_at_once_that_a_batch_has_no_slack_any_more() -> None:
    told = Told()
    told.agenda.begin(300.0, 1000.0, least_ms=600.0)
    told.agenda.go_on(290.0)
    assert told.news == 1
    told.agenda.go_on(500.0)
    assert told.news == 2
