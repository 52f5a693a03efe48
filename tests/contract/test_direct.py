"""A worker's commands: they survive broken connections, and share none between threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import redis

from app.contract.connection import connect
from app.contract.direct import Direct

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW = "local n = 0 for i = 1, 300000 do n = n + 1 end return ARGV[1]"


@pytest.fixture
def client(store_url: str) -> Iterator[redis.Redis]:
    """Yield a client of its own."""
    with connect(store_url) as client:
        yield client


def test_a_connection_is_used_again(client: redis.Redis) -> None:
    direct = Direct(client)
    assert direct.execute("ECHO", "x") == b"x"
    assert direct.execute("CLIENT", "ID") == direct.execute("CLIENT", "ID")


def test_what_the_store_refuses_is_raised_and_the_next_is_answered(client: redis.Redis) -> None:
    direct = Direct(client)
    before = direct.execute("CLIENT", "ID")
    with pytest.raises(redis.ResponseError):
        direct.execute("NONSENSE")
    assert direct.execute("CLIENT", "ID") == before


def test_a_connection_that_was_cut_is_no_trouble(client: redis.Redis, store: redis.Redis) -> None:
    direct = Direct(client)
    cut = direct.execute("CLIENT", "ID")
    store.client_kill_filter(_id=str(cut))
    assert direct.execute("ECHO", "x") == b"x"
    assert direct.execute("CLIENT", "ID") != cut


def test_threads_get_their_own_answers(client: redis.Redis) -> None:
    direct = Direct(client)
    with ThreadPoolExecutor(8) as threads:
        asked = [str(n).encode() for n in range(40)]
        told = threads.map(lambda n: direct.execute("EVAL", SLOW, 0, n), asked)
        assert list(told) == asked


def test_an_answer_that_came_too_late_is_given_to_nobody(store_url: str) -> None:
    with connect(store_url, timeout_s=0.05) as client:
        direct = Direct(client)
        with pytest.raises(redis.TimeoutError):
            direct.execute("BLPOP", "nobody", 1)
        assert direct.execute("ECHO", "x") == b"x"
