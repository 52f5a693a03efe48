"""Load that does not wait for answers: Poisson arrivals at multiples of a service's capacity."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate, takewhile
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol

from app.bench import PROMPTS, percentile
from app.client import Client
from app.errors import GatewayError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Budgets as multiples of the time of one uncached picture: hurried, usual, patient.
BUDGETS = (1.0, 2.5, 10.0)
REFUSALS = frozenset({422, 429, 503})
MOST_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class OpenLoad:
    """Which service is asked, at which multiples of its capacity, for how long each."""

    url: str
    rates: tuple[float, ...]
    seconds: float
    budgets: tuple[float, ...] = BUDGETS
    seed: int = 0
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: when it was due, its budget, how long after that its answer came.

    `refusal` says why it was not accepted, `failure` why an accepted one has no picture.
    """

    at_s: float
    budget_ms: float
    elapsed_ms: float
    quality: float | None = None
    batch: int = 0
    refusal: str = ""
    failure: str = ""

    @property
    def in_time(self) -> bool:
        """Whether a picture came within the budget, by the caller's clock."""
        return self.quality is not None and self.elapsed_ms <= self.budget_ms


class Asker(Protocol):
    """Asks a server for pictures, as `app.client.Client` does."""

    @property
    def generate(self) -> Callable[..., dict[str, Any]]:
        """What returns an answer; raises ServiceError."""


def rates_of(text: str) -> tuple[float, ...]:
    """Read `0.7,1.5,3`; raises GatewayError when it is not that."""
    try:
        rates = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise GatewayError(f"--rate must look like 0.7,1.5,3, not {text!r}") from error
    if not all(0 < rate <= 100 for rate in rates):
        raise GatewayError(f"--rate takes multiples of the capacity up to 100, not {text!r}")
    return rates


def run_open(load: OpenLoad, tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Send the load at each rate and return the reports; raises ServiceError without a service."""
    with Client(load.url, key=load.key, connections=MOST_AT_ONCE) as client:
        frontier = _frontier(client)
        uncached = frontier["uncached"]
        fastest_ms = min(plan["predicted_ms"] for plan in frontier["plans"])
        client.generate(prompt=PROMPTS[0], latency_budget_ms=10 * fastest_ms + 1000)
        capacity, alone_ms = uncached["images_per_s"], uncached["predicted_ms"]
        reports = {}
        for rate in load.rates:
            tell(f"{rate:g} x {capacity:.3g} images/s for {load.seconds:g} s")
            due = arrivals(load, rate * capacity, alone_ms)
            reports[f"{rate:g}"] = {"offered_per_s": rate * capacity, **report(send(client, due))}
    return {"capacity_images_per_s": capacity, "uncached_ms": alone_ms, "rates": reports}


def arrivals(load: OpenLoad, per_s: float, alone_ms: float) -> list[tuple[float, float]]:
    """Return when requests are due, in seconds, each with its budget in milliseconds."""
    chance = random.Random(f"{load.seed}:{per_s}")  # noqa: S311 a load pattern, not a secret
    gaps = iter(lambda: chance.expovariate(per_s), None)
    due = takewhile(lambda at_s: at_s < load.seconds, accumulate(gaps))
    return [(at_s, alone_ms * chance.choice(load.budgets)) for at_s in list(due)]


def report(sent: Sequence[Sent]) -> dict[str, Any]:
    """Say what became of the requests, and of those of the second half by themselves."""
    half_s = max((one.at_s for one in sent), default=0.0) / 2
    later = [one for one in sent if one.at_s > half_s]
    return {**_shares(sent), "second_half": _shares(later)}


def _shares(sent: Sequence[Sent]) -> dict[str, Any]:
    accepted = [one for one in sent if not one.refusal]
    made = [one for one in accepted if one.quality is not None]
    used = sorted(one.elapsed_ms / one.budget_ms for one in made)
    reasons = [one.refusal or one.failure for one in sent if one.refusal or one.failure]
    return {
        "requests": len(sent),
        "accepted": len(accepted) / len(sent) if sent else None,
        "in_time": _mean([float(one.in_time) for one in sent]),
        "in_time_of_accepted": _mean([float(one.in_time) for one in accepted]),
        "quality_mean": _mean([one.quality for one in made if one.quality is not None]),
        "batch_mean": _mean([float(one.batch) for one in made]),
        "budget_used_p95": percentile(used, 0.95),
        "without_picture": {name: reasons.count(name) for name in sorted(set(reasons))},
    }


def send(client: Asker, due: Sequence[tuple[float, float]]) -> list[Sent]:
    """Send each request when it is due, however those before fare; return what became of all."""
    started_s = time.perf_counter()
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        running = []
        for number, (at_s, budget_ms) in enumerate(due):
            time.sleep(max(0.0, started_s + at_s - time.perf_counter()))
            running.append(pool.submit(_one, client, number, started_s, at_s, budget_ms))
        return [one.result() for one in running]


def _one(client: Asker, number: int, started_s: float, at_s: float, budget_ms: float) -> Sent:
    wish = {"prompt": PROMPTS[number % len(PROMPTS)], "seed": number, "response_format": "url"}
    try:
        answer = client.generate(**wish, latency_budget_ms=budget_ms)
    except ServiceError as error:
        reason = str(error).split(":", maxsplit=1)[0]
        elapsed_ms = _since_ms(started_s, at_s)
        if error.status in REFUSALS:
            return Sent(at_s, budget_ms, elapsed_ms, refusal=reason)
        return Sent(at_s, budget_ms, elapsed_ms, failure=reason)
    quality, elapsed_ms = answer["plan"]["quality"]["value"], _since_ms(started_s, at_s)
    return Sent(at_s, budget_ms, elapsed_ms, quality, answer["batch_size"])


def _since_ms(started_s: float, at_s: float) -> float:
    """Return the time since a request was due: a sender that is late itself hides nothing."""
    return (time.perf_counter() - started_s - at_s) * 1000


def _frontier(client: Client) -> dict[str, Any]:
    frontiers = client.plans()
    if not frontiers:
        raise ServiceError(f"{client.url} has no ready worker to put load on")
    return frontiers[0]


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
