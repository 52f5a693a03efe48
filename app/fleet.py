"""What live workers offer, read from their cards and plan books."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from app.contract.errors import DecodeError
from app.contract.lanes import Lane
from app.contract.values import Value
from app.errors import FieldError, InvalidRequest, NoWorkers
from app.tariffs import Tariffs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from app.contract.cards import WorkerCard
    from app.contract.ports import GatewayQueue
    from schedules.book import PlanBook

LOG = logging.getLogger("blockcache.fleet")


@dataclass(frozen=True, slots=True)
class Offer:
    """One model at one size: its plan book and the ready workers that run by it."""

    book: PlanBook
    cards: tuple[WorkerCard, ...]

    @property
    def model(self) -> str:
        """The model's name."""
        return self.book.model

    @property
    def lane(self) -> Lane:
        """Where its jobs wait."""
        return Lane(self.book.model, self.book.width, self.book.height)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.book.width, self.book.height


class Fleet(Value, frozen=True):
    """All offers, ordered by model and size, at one moment of the store's clock."""

    offers: tuple[Offer, ...]
    now_unix_ms: float

    @property
    def workers(self) -> int:
        """Number of ready workers."""
        return len({card.worker for offer in self.offers for card in offer.cards})

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models on offer."""
        return tuple(dict.fromkeys(offer.model for offer in self.offers))

    def of_model(self, model: str) -> tuple[Offer, ...]:
        """Return the offers of one model, one a size."""
        return tuple(offer for offer in self.offers if offer.model == model)


def choose(
    fleet: Fleet, model: str | None = None, width: int | None = None, height: int | None = None
) -> Offer:
    """Return the offer that was asked for, the first where something was left open.

    Raises NoWorkers when nobody is ready, InvalidRequest naming what there is otherwise.
    """
    if not fleet.offers:
        raise NoWorkers("No worker is ready to make pictures.")
    offers = fleet.of_model(model or fleet.offers[0].model)
    if not offers:
        known = ", ".join(fleet.models)
        raise InvalidRequest([FieldError("model", f"no live worker has it; there is: {known}")])
    for offer in offers:
        if width in {None, offer.size[0]} and height in {None, offer.size[1]}:
            return offer
    sizes = ", ".join(f"{wide}x{high}" for wide, high in (offer.size for offer in offers))
    message = f"{offers[0].model} is offered at these sizes (width x height): {sizes}"
    wrong = [name for name, side in (("width", width), ("height", height)) if side is not None]
    raise InvalidRequest([FieldError(name, message) for name in wrong])


def narrow(offer: Offer, solvers: Collection[str] = (), max_steps: int | None = None) -> Offer:
    """Return an offer of only the plans by one of `solvers` (none: by any) in `max_steps` or fewer.

    Raises InvalidRequest naming what there is when no plan is left.
    """
    if not solvers and max_steps is None:
        return offer
    plans = [plan for plan in offer.book.plans if not solvers or plan.solver in solvers]
    if not plans:
        known = ", ".join(sorted({plan.solver for plan in offer.book.plans}))
        raise InvalidRequest([FieldError("solver", f"{offer.model} has plans by these: {known}")])
    short = [plan for plan in plans if max_steps is None or plan.steps <= max_steps]
    if not short:
        fewest = min(plan.steps for plan in plans)
        message = f"the shortest plan takes {fewest} steps; ask for at least that"
        raise InvalidRequest([FieldError("max_steps", message)])
    same = len(short) == len(offer.book.plans)
    return offer if same else replace(offer, book=offer.book.with_plans(short))


def assemble(
    cards: Iterable[WorkerCard], books: Mapping[str, PlanBook], now_unix_ms: float
) -> Fleet:
    """Group ready workers into offers.

    Workers that run different books of the same model and size (during a roll-out) cannot promise
    the same plans; the book most of them have is the offer.
    """
    known = [card for card in cards if card.ready and card.book in books]
    groups = groupby(sorted(known, key=_kind), key=lambda card: _kind(card)[:-1])
    chosen = [_most_common_book(list(group)) for _, group in groups]
    return Fleet(tuple(Offer(books[c[0].book], tuple(c)) for c in chosen), now_unix_ms)


class FleetReader:
    """Reads the fleet from the queue at most once in `ttl_s`, however many ask at once."""

    def __init__(self, queue: GatewayQueue, ttl_s: float, clock: Callable[[], float]) -> None:
        self.tariffs = Tariffs()
        self._queue = queue
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = asyncio.Lock()
        self._books: dict[str, PlanBook] = {}
        self._fleet = Fleet((), 0.0)
        self._read_at_s = float("-inf")

    async def read(self) -> Fleet:
        """Return the fleet, its clock moved on to now; raises StoreUnavailable."""
        if self._is_old:
            async with self._lock:
                if self._is_old:
                    await self._refresh()
        passed_ms = (self._clock() - self._read_at_s) * 1000
        return Fleet(self._fleet.offers, self._fleet.now_unix_ms + passed_ms)

    @property
    def _is_old(self) -> bool:
        return self._clock() - self._read_at_s >= self._ttl_s

    async def _refresh(self) -> None:
        cards, now_unix_ms = await asyncio.gather(self._queue.cards(), self._queue.now_unix_ms())
        read_at_s = self._clock()
        for digest in {card.book for card in cards if card.ready} - self._books.keys():
            await self._learn(digest)
        self._read_at_s = read_at_s
        self._fleet = assemble(cards, self._books, now_unix_ms)
        live = {card.book for card in cards}
        self._books = {digest: book for digest, book in self._books.items() if digest in live}

    async def _learn(self, digest: str) -> None:
        try:
            book = await self._queue.book(digest)
        except DecodeError as error:
            LOG.warning("workers with plan book %s are left out: %s", digest, error)
            return
        if book is not None:
            self._books[digest] = book


def _kind(card: WorkerCard) -> tuple[str, int, int, str]:
    return card.model, card.width, card.height, card.book


def _most_common_book(cards: list[WorkerCard]) -> list[WorkerCard]:
    books = [card.book for card in cards]
    winner = max(sorted(set(books)), key=books.count)
    return [card for card in cards if card.book == winner]
