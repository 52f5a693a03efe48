"""What several ask for in one turn of the event loop is asked of the store once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

# So many at most are asked for at once: the store does nothing else meanwhile.
MOST = 256

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")


class Together(Generic[Ask, Answer]):
    """Hands what was asked for in one turn to `ask_all`, and to each the own answer.

    `ask_all` answers in the order of what it is given. Whoever stops waiting harms nobody; what
    goes wrong is told to all who asked in that turn. Belongs to one event loop.
    """

    def __init__(self, ask_all: Callable[[Sequence[Ask]], Awaitable[Sequence[Answer]]]) -> None:
        self._ask_all = ask_all
        self._asked: list[tuple[Ask, asyncio.Future[Answer]]] = []
        self._turns: set[asyncio.Task[None]] = set()

    async def ask(self, one: Ask) -> Answer:
        """Return the answer; raises what `ask_all` does."""
        if not self._asked or len(self._asked) == MOST:
            self._asked = []
            turn = asyncio.create_task(self._turn(self._asked))
            self._turns.add(turn)
            turn.add_done_callback(self._turns.discard)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._asked.append((one, answer))
        return await answer

    async def _turn(self, asked: list[tuple[Ask, asyncio.Future[Answer]]]) -> None:
        if asked is self._asked:
            self._asked = []
        waiting = [answer for _, answer in asked]
        try:
            found = await self._ask_all([one for one, _ in asked])
        except Exception as error:  # noqa: BLE001 it is raised where it was asked for
            for answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
            return
        for answer, told in zip(waiting, found, strict=True):
            if not answer.done():
                answer.set_result(told)
