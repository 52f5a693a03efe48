"""Who waits in a lane, read once for all requests of one turn of the event loop."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from app.contract import replies
from app.contract.together import Together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from app.contract.lanes import Lane
    from app.contract.ports import Backlog

# As many waiting jobs are looked at one by one; those behind them count by their work.
LINE_ROWS = 256


class Backlogs:
    """Reads backlogs by the script of that name, which `run` runs."""

    def __init__(self, run: Callable[..., Awaitable[Any]]) -> None:
        self._run = run
        self._together: Together[tuple[Lane, float], Backlog] = Together(self._read)

    async def of(self, lane: Lane, budget_ms: float) -> Backlog:
        """Return who waits in a lane, and the work with deadlines before `budget_ms` from now."""
        return await self._together.ask((lane, budget_ms))

    async def _read(self, asked: Sequence[tuple[Lane, float]]) -> list[Backlog]:
        budgets_ms: defaultdict[Lane, set[float]] = defaultdict(set)
        for lane, budget_ms in asked:
            budgets_ms[lane].add(budget_ms)
        found = await asyncio.gather(*(self._of_lane(*item) for item in budgets_ms.items()))
        by_lane = dict(zip(budgets_ms, found, strict=True))
        return [by_lane[lane][budget_ms] for lane, budget_ms in asked]

    async def _of_lane(self, lane: Lane, budgets_ms: Iterable[float]) -> dict[float, Backlog]:
        budgets = tuple(budgets_ms)
        reply = await self._run("backlog", lane.name, LINE_ROWS, *budgets)
        return dict(zip(budgets, replies.backlogs(*reply), strict=True))
