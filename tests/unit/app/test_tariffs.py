"""Prices are reckoned once for each card, and are those of its plans."""

from __future__ import annotations

from app.tariffs import MOST, Tariff, Tariffs
from schedules.planner import ranked
from tests.builders import a_book, a_card

BOOK, CARD = a_book(), a_card()


def test_the_same_card_keeps_its_tariff_and_an_equal_one_has_its_own() -> None:
    tariffs = Tariffs()
    (first,) = tariffs.of(BOOK, [CARD])
    again, other = tariffs.of(BOOK, [CARD, CARD.copy()])
    assert again is first
    assert other is not first


def test_a_tariff_that_was_forgotten_is_reckoned_again() -> None:
    tariffs = Tariffs()
    (first,) = tariffs.of(BOOK, [CARD])
    tariffs.of(BOOK, [CARD.copy() for _ in range(MOST)])
    (again,) = tariffs.of(BOOK, [CARD])
    assert again is not first
    assert again.of(2) == first.of(2) == ranked(BOOK.plans, CARD.costs, batch=2)


def test_a_limit_leaves_the_least_of_the_plans_a_floor_allows() -> None:
    tariff = Tariff(BOOK, CARD)
    values = sorted(plan.quality.value for plan in BOOK.plans)
    assert [offer.plan.quality.value for offer in tariff.within(1, values[1], 0.0)] == [values[1]]
