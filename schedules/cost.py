"""What a plan costs on one device: measured stage times and their sum."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import mul
from statistics import median
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from schedules.errors import InvalidCosts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The running average of ratios starts from the median of the first few. It moves by this share of
# the newest one's distance (of logarithms), of which no more than WILD counts.
SETTLING = 4
SMOOTHING = 0.3
WILD = 0.25
ENOUGH = 16
# What a run takes beyond its measured time is sought up to this share of the shortest run; leaving
# what was found before must bring more than this.
MOST_EXTRA = 0.5
EXTRAS = 51
STICKY = 0.1
# Which share of so few ratios is taken for 95 of 100 to come: by chance they may have been lucky.
CAUTIOUS = 0.975


@dataclass(frozen=True, slots=True)
class StageCosts:
    """Median milliseconds of each stage for one batch size.

    `start_ms` is what denoising costs once, before its first step; `fixed_ms` what a step costs
    when the whole UNet is reused, solver included; `unit_ms[u]` what unit u adds when it computes,
    the UNet's output whatever is no other unit's work.
    Raises InvalidCosts for a negative time.
    """

    encode_ms: float
    start_ms: float
    fixed_ms: float
    unit_ms: tuple[float, ...]
    decode_ms: float
    png_ms: float

    def __post_init__(self) -> None:
        once = (self.encode_ms, self.start_ms, self.decode_ms, self.png_ms)
        times = (*once, self.fixed_ms, *self.unit_ms)
        if any(ms < 0 for ms in times):
            raise InvalidCosts(f"a time cannot be negative: {times}")

    @property
    def full_step_ms(self) -> float:
        """A step that computes every unit."""
        return self.fixed_ms + sum(self.unit_ms)

    @property
    def tail_ms(self) -> float:
        """What a run takes after it was steered for the last time: one step, and the picture."""
        return self.full_step_ms + self.decode_ms + self.png_ms

    def denoise_ms(self, steps: int, unit_runs: Sequence[int]) -> float:
        """Start + Σ_steps (fixed + Σ computed units); unit u computes `unit_runs[u]` times."""
        if len(unit_runs) != len(self.unit_ms):
            raise InvalidCosts(f"{len(self.unit_ms)} units measured, {len(unit_runs)} asked for")
        computed: float = sum(map(mul, unit_runs, self.unit_ms))
        return self.start_ms + steps * self.fixed_ms + computed

    def total_ms(self, steps: int, unit_runs: Sequence[int]) -> float:
        """All stages, from text to encoded pictures."""
        once = self.encode_ms + self.decode_ms + self.png_ms
        return once + self.denoise_ms(steps, unit_runs)

    def compute_fraction(self, steps: int, unit_runs: Sequence[int]) -> float:
        """Share of the unit time of an uncached run that is spent."""
        spent: float = sum(map(mul, unit_runs, self.unit_ms))
        return spent / (steps * sum(self.unit_ms) or 1.0)


@dataclass(frozen=True, slots=True)
class Drift:
    """Recent actual ÷ predicted time: where it lies and how far it strays.

    `p95` is that of a run's tail. Before it a run is steered, so that its end strays by what its
    tail does, however long the run.
    """

    median: float = 1.0
    p95: float = 1.05

    def __post_init__(self) -> None:
        if not 0 < self.median <= self.p95:
            raise InvalidCosts(f"drift needs 0 < median <= p95, not {self.median}, {self.p95}")


def drift_of(ratios: Sequence[float], strays: Sequence[float] = (), room: float = 1.25) -> Drift:
    """Return the drift after actual ÷ predicted times of the same work, oldest first.

    Its median is a running average of their logarithms, quick to follow a machine that slows down;
    a single wild ratio moves it by little. Its p95 is `room` × what 95 of 100 `strays` stay within,
    the actual ÷ promised times of the tails of runs that were steered. While there are few, how far
    the ratios themselves exceeded the average of those before them counts too.
    """
    if not ratios:
        return Drift()
    logs = [math.log(ratio) for ratio in ratios]
    *before, level = accumulate(logs, _follow, initial=median(logs[:SETTLING]))
    raw = [math.exp(now - expected) for now, expected in zip(logs, before, strict=True)]
    rising = sorted(strays if len(strays) >= ENOUGH else [*raw, *strays])
    high = rising[math.ceil(CAUTIOUS * len(rising)) - 1]
    return Drift(math.exp(level), math.exp(level) * max(high, 1.0) * room)


def extra_of(measured_ms: Sequence[float], actual_ms: Sequence[float], near_ms: float) -> float:
    """Return what runs take beyond measured times, whatever their plan, before any drift.

    It makes actual ÷ (measured + extra) most alike from each run to the next. Stages measured by
    themselves are faster than between others, which short plans feel most. Runs that are all alike
    do not tell it: it stays at `near_ms`.
    """
    if not measured_ms:
        return near_ms
    measured, least_ms = np.array(measured_ms), min(measured_ms)
    extras = np.append(np.linspace(0.0, MOST_EXTRA * least_ms, EXTRAS), near_ms)
    logs = np.log(np.array(actual_ms) / (measured + extras[:, None]))
    apart = np.minimum(np.abs(np.diff(logs)), WILD).sum(1)
    away = STICKY * np.abs(extras - near_ms) / least_ms
    return float(extras[np.argmin(apart + away)])


def _follow(level: float, now: float) -> float:
    return level + SMOOTHING * max(-WILD, min(now - level, WILD))


@dataclass(frozen=True, slots=True)
class CostModel:
    """Stage costs by batch size, measured on one device for one model and size.

    Batch sizes between two measured ones are interpolated; outside them the slope of the nearest
    two goes on; a single one is scaled. Raises InvalidCosts when nothing was measured.
    """

    by_batch: tuple[tuple[int, StageCosts], ...]
    drift: Drift = Drift()

    def __post_init__(self) -> None:
        sizes = [size for size, _ in self.by_batch]
        if not sizes or sizes != sorted(set(sizes)) or sizes[0] < 1:
            raise InvalidCosts(f"costs need rising batch sizes from 1 up, not {sizes}")

    def at(self, batch: int) -> StageCosts:
        """Return the stage costs for `batch` images at once."""
        for size, measured in self.by_batch:
            if size == batch:
                return measured
        sizes = [size for size, _ in self.by_batch]
        high = min(max(bisect_left(sizes, batch), 1), len(sizes) - 1) if len(sizes) > 1 else 0
        if high == 0:
            only = self.by_batch[0][1]
            return _blend(_free(only), only, batch / sizes[0])
        (b0, c0), (b1, c1) = self.by_batch[high - 1], self.by_batch[high]
        return _blend(c0, c1, (batch - b0) / (b1 - b0))

    def total_ms(self, steps: int, unit_runs: Sequence[int], batch: int = 1) -> float:
        """Predict the median milliseconds from text to encoded pictures."""
        return self.at(batch).total_ms(steps, unit_runs) * self.drift.median

    def p95_ms(self, steps: int, unit_runs: Sequence[int], batch: int = 1) -> float:
        """Predict the milliseconds that 95 of 100 runs stay within."""
        return self.total_ms(steps, unit_runs, batch) + self.stray_ms(batch)

    def stray_ms(self, batch: int = 1) -> float:
        """Predict how much later than the median 95 of 100 runs end at most, in milliseconds."""
        return self.at(batch).tail_ms * (self.drift.p95 - self.drift.median)

    @property
    def largest(self) -> int:
        """The largest batch size that was measured."""
        return self.by_batch[-1][0]

    @property
    def preview_ms(self) -> float:
        """Predict the median milliseconds one preview of one image adds to a run."""
        stage = self.at(1)
        return (stage.decode_ms + stage.png_ms) * self.drift.median

    def drifted(self, drift: Drift) -> Self:
        """Return the same measured costs with another drift."""
        return replace(self, drift=drift)

    def with_extra(self, extra_ms: float) -> Self:
        """Return costs that take so much longer once a run, whatever its plan, before any drift."""
        stages = ((b, replace(c, start_ms=c.start_ms + extra_ms)) for b, c in self.by_batch)
        return replace(self, by_batch=tuple(stages))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        batches = {str(size): _fields(costs) for size, costs in self.by_batch}
        return {"by_batch": batches, "drift": _fields(self.drift)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; raises InvalidCosts naming what is missing."""
        try:
            stages = sorted(
                ((int(size), _stage(costs)) for size, costs in data["by_batch"].items()),
                key=lambda measured: measured[0],
            )
            return cls(tuple(stages), Drift(**data["drift"]))
        except InvalidCosts:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InvalidCosts(f"a cost model needs by_batch and drift: {error!r}") from error


def _fields(part: StageCosts | Drift) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__slots__}


def _stage(costs: Mapping[str, Any]) -> StageCosts:
    return StageCosts(**{**costs, "unit_ms": tuple(costs["unit_ms"])})


def _free(costs: StageCosts) -> StageCosts:
    return StageCosts(0.0, 0.0, 0.0, (0.0,) * len(costs.unit_ms), 0.0, 0.0)


def _blend(low: StageCosts, high: StageCosts, weight: float) -> StageCosts:
    def mix(a: float, b: float) -> float:
        return max(a + (b - a) * weight, 0.0)

    return StageCosts(
        mix(low.encode_ms, high.encode_ms),
        mix(low.start_ms, high.start_ms),
        mix(low.fixed_ms, high.fixed_ms),
        tuple(mix(a, b) for a, b in zip(low.unit_ms, high.unit_ms, strict=True)),
        mix(low.decode_ms, high.decode_ms),
        mix(low.png_ms, high.png_ms),
    )
