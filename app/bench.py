"""Load on a running service, and what became of the budgets."""

from __future__ import annotations

import hashlib
import math
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from rich.progress import track

from app.client import Client
from app.errors import GatewayError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROMPTS = ("a smiling cat", "a red heart", "a green tree", "a blue car", "a yellow sun", "a house")
NOISE_SPAN = 2.0  # of the fastest plan's time: about as long as the requests beside it
FEW_ROUNDS = 20_000
SETTLING, FEW = 12, 4
STAGES = ("encode_ms", "denoise_ms", "decode_ms", "png_ms")


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked of which service: budgets are multiples of the fastest plan's time.

    `noise` times the same work after every request, to tell the machine's noise from the service's.
    """

    url: str
    requests: int
    budgets: tuple[float, float]
    concurrency: int = 1
    seed: int = 0
    noise: bool = False
    key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: what was asked, how long it took for the caller, and the answer if any.

    `same_work_ms` is what work that never changes took right after it, 0 when that was not asked.
    """

    budget_ms: float
    elapsed_ms: float
    answer: dict[str, Any] | None
    refusal: str = ""
    same_work_ms: float = 0.0


def budget_range(text: str) -> tuple[float, float]:
    """Read `LOW:HIGH`; raises GatewayError when it is not that."""
    low, _, high = text.partition(":")
    try:
        found = float(low), float(high or low)
    except ValueError as error:
        raise GatewayError(f"--budgets must look like 1.2:5, not {text!r}") from error
    if not 0 < found[0] <= found[1] < math.inf:
        raise GatewayError(f"--budgets must rise from above 0, like 1.2:5, not {text!r}")
    return found


def run_load(load: Load) -> dict[str, Any]:
    """Send all requests and return the report; raises ServiceError when nobody answers."""
    with Client(load.url, key=load.key) as client:
        fastest_ms = _settled_ms(load, client)
        started_s = time.perf_counter()
        samples = list(track(_samples(load, client, fastest_ms), "requests", load.requests))
        took_s = time.perf_counter() - started_s
    return {"fastest_plan_ms": fastest_ms, **summary(samples, took_s)}


def _settled_ms(load: Load, client: Client) -> float:
    """Let a service find out how fast it is under such a load; return its fastest plan's time.

    That is the median of what it says by then.
    """
    low, high = load.budgets
    readings = [_fastest_ms(client)]
    rounds = _rounds(load, readings[0])
    for number in range(SETTLING):
        share = (number % FEW) / (FEW - 1)
        _sample(client, rounds, number, (low + share * (high - low)) * readings[-1])
        readings.append(_fastest_ms(client))
    return median(readings[-SETTLING // 2 :])


def summary(samples: Sequence[Sample], took_s: float) -> dict[str, Any]:
    """Say what became of the budgets.

    `in_budget` counts refused requests as not kept and goes by the caller's clock; the prediction
    error is |actual ÷ predicted − 1| of the worker's own times. The machine's noise is how far the
    same work strays from the mean of the times before and after it: no prediction is closer.
    """
    answered = [sample for sample in samples if sample.answer is not None]
    answers = [sample.answer for sample in samples if sample.answer is not None]
    errors = sorted(abs(_made_ms(a) / a["plan"]["predicted_ms"] - 1) for a in answers)
    images = sum(len(answer["images"]) for answer in answers)
    kept = sum(sample.elapsed_ms <= sample.budget_ms for sample in answered)
    beyond = sorted(s.elapsed_ms - s.answer["timing"]["total_ms"] for s in answered if s.answer)
    noise = sorted(strayed([s.same_work_ms for s in samples if s.same_work_ms]))
    return {
        "requests": len(samples),
        "answered": len(answered),
        "in_budget": kept / len(samples),
        "in_budget_by_gateway": sum(a["budget"]["met"] for a in answers) / len(samples),
        "budget_used_mean": _mean([s.elapsed_ms / s.budget_ms for s in answered]),
        "quality_mean": _mean([a["plan"]["quality"]["value"] for a in answers]),
        "prediction_error_median": median(errors) if errors else None,
        "prediction_error_p95": percentile(errors, 0.95),
        "machine_noise_median": median(noise) if noise else None,
        "machine_noise_p95": percentile(noise, 0.95),
        "overhead_ms_median": median(beyond) if beyond else None,
        "overhead_ms_p95": percentile(beyond, 0.95),
        "replanned": sum(a["plan"]["replanned"] for a in answers),
        "hurried_steps": sum(a["plan"]["hurried_steps"] for a in answers),
        "extended_steps": sum(a["plan"]["extended_steps"] for a in answers),
        "images_per_s": images / took_s,
        "refusals": _counted([s.refusal for s in samples if s.answer is None]),
    }


def strayed(times: Sequence[float]) -> list[float]:
    """Return how far each time but the first and last is from the mean of its neighbours."""
    triples = zip(times, times[1:], times[2:], strict=False)
    return [abs(2 * now / (before + after) - 1) for before, now, after in triples]


def percentile(rising: Sequence[float], share: float) -> float | None:
    """Return the smallest value that `share` of the sorted values do not exceed."""
    return rising[math.ceil(share * len(rising)) - 1] if rising else None


def _samples(load: Load, client: Client, fastest_ms: float) -> Iterator[Sample]:
    chance = random.Random(load.seed)  # noqa: S311 a load pattern, not a secret
    budgets = [fastest_ms * chance.uniform(*load.budgets) for _ in range(load.requests)]
    rounds = _rounds(load, fastest_ms)
    with ThreadPoolExecutor(load.concurrency) as pool:
        yield from pool.map(lambda pair: _sample(client, rounds, *pair), enumerate(budgets))


def _rounds(load: Load, fastest_ms: float) -> int:
    """Return how much of the same work to do after each request."""
    if not load.noise:
        return 0
    wanted_ms = NOISE_SPAN * fastest_ms
    return round(FEW_ROUNDS * wanted_ms / median(_same_work_ms(FEW_ROUNDS) for _ in range(9)))


def _same_work_ms(rounds: int) -> float:
    started_s = time.perf_counter()
    hashlib.pbkdf2_hmac("sha256", b"the same", b"work", rounds)
    return (time.perf_counter() - started_s) * 1000


def _sample(client: Client, rounds: int, number: int, budget_ms: float) -> Sample:
    started_s = time.perf_counter()
    prompt = PROMPTS[number % len(PROMPTS)]
    try:
        answer = client.generate(prompt=prompt, seed=number, latency_budget_ms=budget_ms)
        refusal = ""
    except ServiceError as error:
        answer, refusal = None, str(error).split(":", maxsplit=1)[0]
    elapsed_ms = (time.perf_counter() - started_s) * 1000
    same_work_ms = _same_work_ms(rounds) if rounds else 0.0
    return Sample(budget_ms, elapsed_ms, answer, refusal, same_work_ms)


def _fastest_ms(client: Client) -> float:
    plans = [plan for frontier in client.plans()[:1] for plan in frontier["plans"]]
    if not plans:
        raise ServiceError(f"{client.url} has no ready worker to put load on")
    return float(min(plan["predicted_ms"] for plan in plans))


def _made_ms(answer: dict[str, Any]) -> float:
    return float(sum(answer["timing"][stage] for stage in STAGES))


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _counted(names: Sequence[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}
