"""Worker cards and plan books: announced, renewed, withdrawn, forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.contract.errors import DecodeError
from tests.builders import a_book, a_card
from tests.contract.queueing import another_worker, eventually

if TYPE_CHECKING:
    import redis

    from app.contract.gateway_queue import RedisGatewayQueue
    from app.contract.keys import Keys
    from app.contract.settings import QueueSettings
    from app.contract.worker_queue import RedisWorkerQueue


async def test_a_published_card_and_its_book_can_be_read(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    worker.publish(a_card("worker-1"), a_book())
    worker.publish(a_card("worker-2", ready=False), a_book())
    cards = sorted(await gateway.cards(), key=lambda card: card.worker)
    assert cards == [a_card("worker-1"), a_card("worker-2", ready=False)]
    assert await gateway.book(cards[0].book) == a_book()


async def test_a_later_card_replaces_the_one_before(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    worker.publish(a_card(busy_until_unix_ms=1), a_book())
    worker.publish(a_card(busy_until_unix_ms=2), a_book())
    assert [card.busy_until_unix_ms for card in await gateway.cards()] == [2]


async def test_the_card_of_a_silent_worker_vanishes(
    gateway: RedisGatewayQueue, store_url: str, settings: QueueSettings
) -> None:
    with another_worker(store_url, settings, card_ttl_s=1) as brief:
        brief.publish(a_card(), a_book())
    assert await gateway.cards() == [a_card()]

    async def gone() -> bool:
        return await gateway.cards() == []

    await eventually(gone)


async def test_a_retired_worker_is_gone_at_once(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    worker.publish(a_card(), a_book())
    worker.retire("worker-1")
    assert await gateway.cards() == []


async def test_a_card_of_another_version_is_left_out(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    worker.publish(a_card("worker-1"), a_book())
    worker.publish(a_card("worker-2"), a_book())
    store.set(keys.card("worker-2"), '{"version":99}', ex=5)
    assert await gateway.cards() == [a_card("worker-1")]


async def test_publishing_renews_the_book(
    worker: RedisWorkerQueue, store: redis.Redis, keys: Keys, settings: QueueSettings
) -> None:
    worker.publish(a_card(), a_book())
    store.expire(keys.book(a_book().digest), 1)
    worker.publish(a_card(), a_book())
    assert store.ttl(keys.book(a_book().digest)) > settings.book_ttl_s - 60


async def test_a_book_that_was_lost_is_published_again(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue, store: redis.Redis, keys: Keys
) -> None:
    worker.publish(a_card(), a_book())
    store.delete(keys.book(a_book().digest))
    worker.publish(a_card(), a_book())
    assert await gateway.book(a_book().digest) == a_book()


async def test_a_card_is_not_announced_before_its_book(
    gateway: RedisGatewayQueue, worker: RedisWorkerQueue
) -> None:
    card = a_card()

    announced = worker._run("publish", card.worker, card.encode(), 5000, card.book, 5000)

    assert not announced
    assert await gateway.cards() == []


async def test_an_unknown_book_is_none(gateway: RedisGatewayQueue) -> None:
    assert await gateway.book("unknown") is None


async def test_an_unreadable_book_is_a_decode_error(
    gateway: RedisGatewayQueue, store: redis.Redis, keys: Keys
) -> None:
    store.set(keys.book("strange"), "{}", ex=5)
    with pytest.raises(DecodeError, match="plan book"):
        await gateway.book("strange")
