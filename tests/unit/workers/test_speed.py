from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.builders import costs
from workers.speed import Idleness, Speed, Took


class ARun:
    """A batch that took `slowness` times what was predicted for its work."""

    def __init__(self, slowness: float, stray: float = 1.0, tail_ms: float = 10.0) -> None:
        self.worked_ms, self.rendered = 100.0, Made(100.0 * slowness)
        self.stray, self.tail_ms = stray, tail_ms


@dataclass(frozen=True)
class Made:
    total_ms: float


def took(ratio: float) -> Took:
    return Took(100.0, 100.0 * ratio)


def after(*runs: ARun, ratios: tuple[float, ...] = ()) -> Speed:
    speed = Speed(costs(), [took(ratio) for ratio in ratios])
    for run in runs:
        as_run: Any = run
        speed.ran(as_run)
    return speed


def test_brief_runs_are_learnt_from_together() -> None:
    now_s = 100.0
    speed = Speed(costs(), clock=lambda: now_s)
    speed.probed(Took(10.0, 15.0))
    assert speed.costs.drift.median == 1.0

    now_s += 1.0
    speed.probed(Took(10.0, 15.0))
    assert speed.costs.drift.median == pytest.approx(1.5)


def test_warm_up_pictures_count() -> None:
    assert Speed(costs(), [took(1.5)] * 3).costs.drift.median == pytest.approx(1.5)


def test_a_run_is_measured_by_the_costs_it_was_predicted_with() -> None:
    steady = after(*[ARun(1.0)] * 20, ratios=(2.0,) * 3)

    assert steady.costs.drift.median == pytest.approx(2.0)


def test_a_probe_counts_as_a_run_does() -> None:
    speed = Speed(costs(), [took(3.0)])
    for _ in range(30):
        speed.probed(Took(100.0 * speed.costs.drift.median, 100.0))

    assert speed.costs.drift.median == pytest.approx(1.0, rel=0.01)


def test_plans_of_every_length_are_predicted_where_each_run_takes_something_more() -> None:
    measured, speed = costs(), Speed(costs())
    units, extra_ms, drift = len(measured.at(1).unit_ms), 8.0, 1.3

    def truly_ms(steps: int) -> float:
        return drift * (measured.total_ms(steps, [steps] * units) + extra_ms)

    for steps in [2, 12, 4, 8] * 10:
        predicted_ms = speed.costs.total_ms(steps, [steps] * units)
        speed.probed(Took(predicted_ms, truly_ms(steps)))

    for steps in (1, 3, 20):
        predicted_ms = speed.costs.total_ms(steps, [steps] * units)
        assert predicted_ms == pytest.approx(truly_ms(steps), rel=0.03)


def test_strays_of_steered_runs_widen_the_high_end() -> None:
    narrow, wide = after(*[ARun(1.0, 1.0)] * 20), after(*[ARun(1.0, 1.5)] * 20)

    assert wide.costs.drift.p95 == pytest.approx(1.5 * narrow.costs.drift.p95)
    assert wide.costs.drift.median == narrow.costs.drift.median


def test_runs_that_were_not_steered_say_nothing_of_strays() -> None:
    free = after(*[ARun(1.0, 9.0, tail_ms=0.0)] * 20)

    assert free.costs.drift.p95 < 2.0


def test_probes_wait_longer_and_longer_until_there_is_work() -> None:
    now_s = 0.0
    idleness = Idleness(1.0, 3.0, lambda: now_s)
    assert not idleness.is_long

    pauses_s: list[float] = []
    for _ in range(3):
        began_s = now_s
        while not idleness.is_long:
            now_s += 0.5
        pauses_s.append(now_s - began_s)
        idleness.probed()
    assert pauses_s == [1.0, 2.0, 3.0]

    idleness.worked()
    now_s += 1.0
    assert idleness.is_long
