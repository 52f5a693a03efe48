"""The same Poisson load on every server, at multiples of what uncached pictures allow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from app import open_loop
from app.bench import PROMPTS
from app.client import Client
from app.errors import ServiceError
from tests.bench.reports import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from app.open_loop import OpenLoad, Sent
    from tests.bench.servers import Running

COLUMNS = (
    "engine", "server", "×", "requests", "accepted", "in time, of accepted", "of all",
    *(f"of all with {budget:g}×" for budget in open_loop.BUDGETS), "quality", "batch",
    "2nd half: of accepted", "of all",
)  # fmt: skip
SETTLING = 6
DRAINS = 60


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the worker measured: one uncached picture alone, and how many a second at best."""

    images_per_s: float
    uncached_ms: float

    @classmethod
    def of(cls, url: str) -> Capacity:
        """Ask this service; raises ServiceError."""
        with Client(url) as client:
            uncached = client.plans()[0]["uncached"]
        return cls(uncached["images_per_s"], uncached["predicted_ms"])

    @property
    def patience_s(self) -> float:
        """How long the most patient caller waits."""
        return max(open_loop.BUDGETS) * self.uncached_ms / 1000


def overload(
    running: Running, load: OpenLoad, capacity: Capacity, advance: Callable[[str], None]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each rate with what became of its requests; in between all left work ends."""
    patience_ms = capacity.patience_s * 1000
    for number in range(SETTLING):
        running.generate(PROMPTS[number % len(PROMPTS)], patience_ms)
    for rate in load.rates:
        advance(f"{running.server.name} × {rate:g}")
        per_s = rate * capacity.images_per_s
        sent = open_loop.send(running, open_loop.arrivals(load, per_s, capacity.uncached_ms))
        yield f"{rate:g}", {"offered_per_s": per_s, **report(sent, capacity)}
        _drain(running, patience_ms)


def report(sent: Sequence[Sent], capacity: Capacity) -> dict[str, Any]:
    """Say what became of the requests, of those with each budget too."""
    by_budget = {}
    for budget in open_loop.BUDGETS:
        alike = [one for one in sent if one.budget_ms == capacity.uncached_ms * budget]
        kept = [one.in_time for one in alike]
        by_budget[f"{budget:g}"] = sum(kept) / len(kept) if kept else None
    return {**open_loop.report(sent), "in_time_by_budget": by_budget}


def longer(load: OpenLoad, seconds: float) -> OpenLoad:
    """Return the same load for another time."""
    return replace(load, seconds=seconds)


def rows(found: Mapping[str, Any]) -> list[list[str]]:
    """Return the lines of the table."""
    return [
        [engine, server, rate, *_cells(report)]
        for engine, part in found.get("engines", {}).items()
        for server, rates in part["servers"].items()
        for rate, report in rates.items()
    ]


def _cells(report: Mapping[str, Any]) -> list[str]:
    later, by_budget = report["second_half"], report["in_time_by_budget"].values()
    shares = (report["accepted"], report["in_time_of_accepted"], report["in_time"], *by_budget)
    return [
        str(report["requests"]),
        *(shown(share, ".1%") for share in shares),
        shown(report["quality_mean"], ".3f"),
        shown(report["batch_mean"] or None, ".1f"),
        *(shown(later[name], ".1%") for name in ("in_time_of_accepted", "in_time")),
    ]


def _drain(running: Running, patience_ms: float) -> None:
    """Return when the work that nobody awaits any more is done."""
    for _ in range(DRAINS):
        try:
            running.generate(PROMPTS[0], patience_ms)
        except ServiceError:
            continue
        return
