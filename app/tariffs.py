"""What plans cost on each worker, reckoned once for as long as its card stays what it is."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from schedules.ladder import Ladder
from schedules.planner import ranked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.cards import WorkerCard
    from schedules.book import PlanBook
    from schedules.planner import Priced

MOST = 64


class Tariff:
    """What the plans of one book cost on one worker."""

    def __init__(self, book: PlanBook, card: WorkerCard) -> None:
        self.book = book
        self.card = card
        self._ranked: dict[int, list[Priced]] = {}

    def of(self, images: int) -> list[Priced]:
        """Return the price of every plan for so many pictures at once, the best plan first."""
        found = self._ranked.get(images)
        if found is None:
            found = self._ranked[images] = ranked(self.book.plans, self.card.costs, batch=images)
        return found

    def within(self, images: int, floor: float, limit: float = float("inf")) -> list[Priced]:
        """Return those of the plans that are as good as `floor`, and at most as good as `limit`.

        The least of them is never left out.
        """
        offers = self.of(images)
        if floor <= offers[-1].plan.quality.value and limit >= offers[0].plan.quality.value:
            return offers
        able = [offer for offer in offers if offer.plan.quality.value >= floor]
        most = max(limit, able[-1].plan.quality.value)
        return [offer for offer in able if offer.plan.quality.value <= most]

    @cached_property
    def ladder(self) -> Ladder:
        """The rungs that all share when there is a crowd."""
        return Ladder.of(self.book, self.card.costs, self.card.max_batch)


class Tariffs:
    """Remembers the latest tariffs, by the very books and cards that they are of."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], Tariff] = {}

    def of(self, book: PlanBook, cards: Sequence[WorkerCard]) -> list[Tariff]:
        """Return the tariff of each worker."""
        return [self._of(book, card) for card in cards]

    def _of(self, book: PlanBook, card: WorkerCard) -> Tariff:
        key = (id(book), id(card))  # a tariff holds both, so that no other gets their ids
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= MOST:
                self._known.clear()
            found = self._known[key] = Tariff(book, card)
        return found
