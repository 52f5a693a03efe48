"""What counts as on offer."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import InvalidRequest, NoWorkers
from app.fleet import assemble, choose, narrow
from tests.builders import a_book, a_card

BOOK, LARGE = a_book(), a_book(size=128)
BOOKS = {book.digest: book for book in (BOOK, LARGE)}
SMALL_CARD = a_card("small")
LARGE_CARD = a_card("large", width=128, height=128, book=LARGE.digest)
(AN_OFFER,) = assemble([SMALL_CARD], BOOKS, 0).offers


def test_workers_of_one_size_make_one_offer() -> None:
    fleet = assemble([SMALL_CARD, a_card("other"), LARGE_CARD], BOOKS, 0)

    counts = {offer.size: len(offer.cards) for offer in fleet.offers}
    assert counts == {(64, 64): 2, (128, 128): 1}
    assert fleet.workers == 3


def test_a_worker_that_is_not_ready_or_has_no_book_is_not_on_offer() -> None:
    cards = [a_card("a", ready=False), a_card("b", book="unknown")]

    assert assemble(cards, BOOKS, 0).offers == ()


def test_of_two_books_for_one_size_the_more_common_is_offered() -> None:
    newer = a_book(revision="r2")
    cards = [a_card("a"), a_card("b", book=newer.digest), a_card("c", book=newer.digest)]

    (offer,) = assemble(cards, {**BOOKS, newer.digest: newer}, 0).offers

    assert offer.book.revision == "r2"
    assert len(offer.cards) == 2


def test_without_a_wish_the_first_offer_is_chosen() -> None:
    fleet = assemble([LARGE_CARD, SMALL_CARD], BOOKS, 0)

    assert choose(fleet).size == (64, 64)
    assert choose(fleet, width=128).size == (128, 128)


def test_a_size_nobody_has_names_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match="64x64, 128x128"):
        choose(assemble([LARGE_CARD, SMALL_CARD], BOOKS, 0), width=64, height=128)


def test_a_model_nobody_has_names_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match="emoji"):
        choose(assemble([SMALL_CARD], BOOKS, 0), model="other")


def test_an_empty_fleet_offers_nothing() -> None:
    with pytest.raises(NoWorkers):
        choose(assemble([], BOOKS, 0))


def test_an_offer_is_narrowed_to_plans_of_few_steps() -> None:
    narrowed = narrow(AN_OFFER, max_steps=4)

    assert [plan.steps for plan in narrowed.book.plans] == [4]
    assert narrow(AN_OFFER, max_steps=8) is AN_OFFER


@pytest.mark.parametrize(
    ("wish", "field", "words"),
    [
        ({"max_steps": 3}, "max_steps", "takes 4 steps"),
        ({"solvers": {"euler"}}, "solver", "dpmpp_2m"),
    ],
)
def test_an_offer_without_such_plans_says_what_there_is(
    wish: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        narrow(AN_OFFER, **wish)

    assert caught.value.errors[0].field == field
    assert words in caught.value.errors[0].message
