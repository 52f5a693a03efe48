"""One connection for all who ask: each gets the own answer, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from app.contract.connection import connect_shared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import redis

    from app.contract.shared import SharedClient

SLOW = "local n = 0 for i = 1, 3000000 do n = n + 1 end return n"


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[SharedClient]:
    """Yield a client of its own."""
    client = connect_shared(store_url)
    yield client
    await client.aclose()


async def test_everybody_gets_the_own_answer_on_one_connection(
    client: SharedClient, store: redis.Redis
) -> None:
    await client.client_setname("shared")
    answers = await asyncio.gather(*(client.echo(str(n)) for n in range(200)))
    assert answers == [str(n).encode() for n in range(200)]
    assert [c["name"] for c in store.client_list()].count("shared") == 1


async def test_who_stops_waiting_harms_nobody(client: SharedClient) -> None:
    leaving: asyncio.Future[Any] = asyncio.ensure_future(client.eval(SLOW, 0))
    others: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(client.echo(str(n))) for n in range(3)
    ]
    await asyncio.sleep(0)
    leaving.cancel()
    assert await asyncio.gather(*others) == [b"0", b"1", b"2"]


async def test_an_error_is_told_to_who_made_it_only(client: SharedClient) -> None:
    asked: list[Any] = [client.eval("return redis.call('NONSENSE')", 0), client.echo("x")]
    wrong, right = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(wrong, Exception)
    assert right == b"x"


async def test_who_waits_on_a_connection_that_is_cut_asks_again(
    client: SharedClient, store: redis.Redis
) -> None:
    number = await client.client_id()
    store.client_pause(300)
    asking: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(client.echo(str(n))) for n in range(5)
    ]
    store.client_kill_filter(_id=str(number))
    assert await asyncio.gather(*asking) == [str(n).encode() for n in range(5)]
    assert await client.client_id() != number
