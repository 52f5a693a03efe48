"""Whether a caller is still there, asked beside what it waits for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

# Whoever is answered sooner need not be watched: a task for each costs more than such an answer.
AFTER_S = 0.02


class Presence:
    """Ends the block of a timeout when the caller leaves, until it is closed.

    `gone()` returns when the caller left. Belongs to one event loop.
    """

    def __init__(
        self, gone: Callable[[], Coroutine[None, None, None]], block: asyncio.Timeout
    ) -> None:
        self._gone = gone
        self._block = block
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(AFTER_S, self._watch)

    def close(self) -> None:
        """Watch no longer."""
        self._timer.cancel()
        if self._task is not None:
            self._task.remove_done_callback(self._end)
            self._task.cancel()

    def _watch(self) -> None:
        self._task = asyncio.create_task(self._gone())
        self._task.add_done_callback(self._end)

    def _end(self, _left: asyncio.Task[None]) -> None:
        with suppress(RuntimeError):  # the block may be over in the very moment the caller leaves
            self._block.reschedule(0.0)
