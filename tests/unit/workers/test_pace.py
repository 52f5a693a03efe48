from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import torch

from schedules.rules import all_compute
from schedules.units import Role, Unit, UnitGraph
from workers.cached_unet import CacheRun
from workers.pace import Pace
from workers.units import UNetUnits

ONE = UnitGraph((Unit("mid.attn.0", Role.TRANSFORMER),), feeds=((),), sinks=(0,))
LATENTS = torch.zeros(1)
HOUR_S = 3600.0


class FakeLease:
    def __init__(self, *wanted: str) -> None:
        self.step = 0
        self.wanted = frozenset(wanted)


def a_pace(
    *remaining_ms: float, left_s: float = HOUR_S, wanted: tuple[str, ...] = ("a",)
) -> tuple[Pace, FakeLease]:
    lease: Any = FakeLease(*wanted)
    return Pace(lease, 2000.0, remaining_ms, time.monotonic() + left_s, never), lease


def never() -> bool:
    return False


def a_run(steps: int = 3) -> CacheRun:
    run = CacheRun(all_compute(steps, ONE), UNetUnits((), ONE))
    run.begin_step(0)
    return run


def test_finished_steps_are_told_to_the_lease() -> None:
    pace, lease = a_pace(2.0, 1.0, 0.0)
    pace(1, a_run(), LATENTS)

    assert lease.step == 2


def test_a_batch_goes_on_while_anybody_waits() -> None:
    pace, lease = a_pace(1.0, 0.0, wanted=("a", "b"))

    assert pace(0, a_run(), LATENTS)
    lease.wanted = frozenset({"b"})
    assert pace(0, a_run(), LATENTS)
    lease.wanted = frozenset()
    assert not pace(0, a_run(), LATENTS)


def test_a_batch_stops_when_the_worker_must_be_done() -> None:
    stopping, lease = threading.Event(), a_pace()[1]
    waiting: Any = lease
    pace = Pace(waiting, 2.0, (1.0, 0.0), time.monotonic() + HOUR_S, stopping.is_set)

    assert pace(0, a_run(), LATENTS)
    stopping.set()
    assert not pace(0, a_run(), LATENTS)


def test_a_run_in_time_is_not_hurried() -> None:
    pace, _ = a_pace(1000.0, 500.0, 0.0)
    run = a_run()
    pace(0, run, LATENTS)
    run.begin_step(1)

    assert run.hurried_steps == pace.hurried_steps == 0


def test_a_late_run_is_hurried_and_the_hurried_steps_are_counted() -> None:
    pace, _ = a_pace(1000.0, 500.0, 0.0, left_s=0.1)
    run = a_run()
    for step in range(2):
        pace(step, run, LATENTS)
        run.begin_step(step + 1)
    pace(2, run, LATENTS)

    assert run.hurried_steps == pace.hurried_steps == 2


@pytest.mark.parametrize(
    ("left_ms", "late"), [(1000.0, False), (100.1, False), (99.9, True), (-5, True)]
)
def test_a_run_is_late_when_what_remains_clearly_does_not_fit(left_ms: float, late: bool) -> None:
    lease: Any = FakeLease("a")
    pace = Pace(lease, 200.0, (100.0, 0.0), deadline_s=1000.0, must_stop=never)

    assert pace.is_late(0, now_s=1000.0 - left_ms / 1e3) is late


@pytest.mark.parametrize(("took_s", "hurried"), [(0.5, 0), (1.2, 1)])
def test_a_run_slower_than_predicted_is_hurried_before_it_is_late(
    took_s: float, hurried: int
) -> None:
    lease: Any = FakeLease("a")
    moments = iter((100.0, 100.0 + took_s))
    pace = Pace(lease, 2000.0, (1500.0, 0.0), 103.0, never, clock=lambda: next(moments))
    run = a_run()
    pace(0, run, LATENTS)
    run.begin_step(1)

    assert run.hurried_steps == hurried


def test_the_reserve_is_kept_free_before_the_deadline() -> None:
    lease: Any = FakeLease("a")
    pace = Pace(lease, 200.0, (100.0, 0.0), deadline_s=1000.0, must_stop=never, reserve=1.2)

    assert pace.is_late(0, now_s=1000.0 - 0.119)
    assert not pace.is_late(0, now_s=1000.0 - 0.121)


def test_after_the_last_step_only_the_picture_can_be_late() -> None:
    lease: Any = FakeLease("a")
    pace = Pace(lease, 200.0, (100.0, 0.0), deadline_s=1000.0, must_stop=never)

    assert not pace.is_late(1, now_s=2000.0)


def test_a_hurried_run_remembers_how_slow_it_was_before() -> None:
    lease: Any = FakeLease("a")
    pace = Pace(lease, 0.001, (0.0005, 0.0), time.monotonic() - 1.0, never)
    run = a_run()
    pace(0, run, LATENTS)
    first = pace.slowness
    pace(0, run, LATENTS)

    assert first is not None
    assert first > 0
    assert pace.slowness == first


def test_a_run_in_time_says_nothing_of_slowness() -> None:
    pace, _ = a_pace(1000.0, 0.0)
    pace(0, a_run(), LATENTS)

    assert pace.slowness is None
