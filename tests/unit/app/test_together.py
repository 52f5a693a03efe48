"""Asked in one turn of the event loop, asked of the store at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.contract.together import MOST, Together

if TYPE_CHECKING:
    from collections.abc import Sequence


class Store:
    """Doubles numbers, and notes which it was asked for at once; cannot double 0."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    async def double(self, numbers: Sequence[int]) -> list[int]:
        self.asked.append(list(numbers))
        await asyncio.sleep(0)
        if 0 in numbers:
            raise ValueError("nothing to double")
        return [2 * number for number in numbers]


async def test_what_is_asked_in_one_turn_is_asked_once() -> None:
    store = Store()
    together = Together(store.double)

    assert await asyncio.gather(*(together.ask(n) for n in (1, 2, 3))) == [2, 4, 6]
    assert await together.ask(4) == 8
    assert store.asked == [[1, 2, 3], [4]]


async def test_so_many_are_asked_in_parts() -> None:
    store = Store()
    together = Together(store.double)
    numbers = range(1, MOST + 3)

    assert await asyncio.gather(*map(together.ask, numbers)) == [2 * n for n in numbers]
    assert [len(asked) for asked in store.asked] == [MOST, 2]


async def test_who_stops_waiting_harms_nobody() -> None:
    together = Together(Store().double)
    leaving, staying = (asyncio.create_task(together.ask(n)) for n in (1, 2))
    await asyncio.sleep(0)
    leaving.cancel()

    assert await staying == 4


async def test_what_goes_wrong_is_told_to_all_who_asked_in_that_turn() -> None:
    together = Together(Store().double)
    answers = await asyncio.gather(*(together.ask(n) for n in (0, 1)), return_exceptions=True)

    assert [str(answer) for answer in answers] == ["nothing to double"] * 2
    with pytest.raises(ValueError, match="double"):
        await together.ask(0)
    assert await together.ask(1) == 2
