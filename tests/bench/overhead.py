"""How long an answer takes, and what it costs, where there is nothing to do."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING, Any

from app.bench import percentile
from tests.bench.closed_loop import ask_for
from tests.bench.servers import WISH
from tests.bench.work import maker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.bench.servers import Running

COLUMNS = ("server", "callers", "requests/s", "p50 ms", "p99 ms", "CPU ms per request")
CALLERS = (1, 16)
BUDGET_MS = 10_000.0
WARM_CALLERS = 4
BARE_RUNS = 1000


def overhead(
    running: Running, warm_s: float, seconds: float, advance: Callable[[str], None]
) -> dict[str, Any]:
    """Return what 1 and 16 callers find that ask again at once."""
    _asked(running, WARM_CALLERS, warm_s)
    found = {}
    for callers in CALLERS:
        advance(f"{running.server.name}, {callers} callers")
        before_s, began_s = running.cpu_s(), time.perf_counter()
        took_ms = _asked(running, callers, seconds)
        spent_s, passed_s = running.cpu_s() - before_s, time.perf_counter() - began_s
        cpu_ms = 1000 * spent_s / len(took_ms)
        found[str(callers)] = {**times(took_ms, passed_s), "cpu_ms": cpu_ms}
    return found


def bare() -> dict[str, Any]:
    """Return the same of the engine without any server."""
    make, took_ms, began_s = maker(), [], time.perf_counter()
    for _ in range(BARE_RUNS):
        before_s = time.perf_counter()
        make([WISH])
        took_ms.append((time.perf_counter() - before_s) * 1000)
    passed_s = time.perf_counter() - began_s
    return {"1": {**times(took_ms, passed_s), "cpu_ms": 1000 * passed_s / BARE_RUNS}}


def times(took_ms: Sequence[float], seconds: float) -> dict[str, Any]:
    """Return how often and how fast."""
    rising = sorted(took_ms)
    p50_ms, p99_ms = median(rising), percentile(rising, 0.99)
    return {"per_s": len(rising) / seconds, "p50_ms": p50_ms, "p99_ms": p99_ms}


def rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Return the lines of the table."""
    return [
        [name, callers, f"{by['per_s']:.0f}", *(f"{by[k]:.2f}" for k in by if k != "per_s")]
        for name, all_by in found.get("servers", {}).items()
        for callers, by in all_by.items()
    ]


def _asked(running: Running, callers: int, seconds: float) -> list[float]:
    server = running.server
    return ask_for(running.url, server.path, server.body(WISH, BUDGET_MS), callers, seconds)
