from __future__ import annotations

import threading
from typing import Any

import pytest
import torch

from schedules.rules import all_compute
from schedules.schedule import Schedule
from schedules.steering import Steering
from schedules.units import Role, Unit, UnitGraph
from workers.cached_unet import CacheRun
from workers.pace import Pace, Promise
from workers.units import UNetUnits

UNITS = 10
GRAPH = UnitGraph(
    tuple(Unit(f"mid.attn.{u}", Role.TRANSFORMER) for u in range(UNITS)),
    feeds=((), *((u,) for u in range(UNITS - 1))),
    sinks=(UNITS - 1,),
)
LATENTS = torch.zeros(1)
# Four steps of 100 ms and 100 ms of decoding.
PREDICTED_MS, REMAINING_MS = 500.0, (400.0, 300.0, 200.0, 100.0)


class FakeLease:
    def __init__(self, *wanted: str) -> None:
        self.step = 0
        self.wanted = frozenset(wanted)


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Ride:
    """A run of four steps on a clock of its own; `left_ms` is its budget."""

    def __init__(
        self, left_ms: float, *, loose: bool = True, reserve_ms: float = 0.0, cached: bool = False
    ) -> None:
        lease: Any = FakeLease("a")
        full, most, half = (tuple(u < count for u in range(UNITS)) for count in (10, 7, 5))
        schedule = Schedule((full, half, half, half) if cached else (full, full, full, most))
        self.clock = Clock()
        self.lease = lease
        self.run = CacheRun(schedule, UNetUnits((), GRAPH))
        deadline_s = self.clock.now_s + left_ms / 1e3
        promise = Promise(PREDICTED_MS, REMAINING_MS, deadline_s, reserve_ms, loose)
        steering = Steering(schedule, GRAPH, (10.0,) * UNITS)
        self.pace = Pace(lease, promise, steering, lambda: False, self.clock)

    def step(self, number: int, took_ms: float) -> float:
        """Take one step; return how much more the next one is told to compute, in ms."""
        before_ms = self.pace.worked_ms
        self.clock.now_s += took_ms / 1e3
        assert self.pace(number, self.run, LATENTS)
        return self.pace.worked_ms - before_ms


def test_finished_steps_are_told_to_the_lease() -> None:
    ride = Ride(600.0)
    ride.step(1, 200.0)

    assert ride.lease.step == 2


def test_a_batch_goes_on_while_anybody_waits() -> None:
    ride = Ride(600.0)
    ride.lease.wanted = frozenset({"b"})
    assert ride.pace(0, ride.run, LATENTS)
    ride.lease.wanted = frozenset()
    assert not ride.pace(0, ride.run, LATENTS)


def test_a_batch_stops_when_the_worker_must_be_done() -> None:
    stopping, ride = threading.Event(), Ride(600.0)
    promise = Promise(PREDICTED_MS, REMAINING_MS, 1e9)
    pace = Pace(
        ride.lease, promise, Steering(all_compute(4, GRAPH), GRAPH, (1.0,) * UNITS), stopping.is_set
    )

    assert pace(0, ride.run, LATENTS)
    stopping.set()
    assert not pace(0, ride.run, LATENTS)


def test_a_run_on_time_follows_its_plan() -> None:
    ride = Ride(600.0)

    assert [ride.step(number, 100.0) for number in range(3)] == [0.0] * 3
    assert (ride.pace.hurried_steps, ride.pace.extended_steps) == (0, 0)


def test_a_run_that_is_behind_computes_less_in_each_step_that_is_left() -> None:
    ride = Ride(900.0)
    added_ms = ride.step(0, 150.0)

    # 350 ms are left for 400 ms' work, and it goes slowly. No pattern is closer to a step's share.
    assert added_ms == -30.0
    assert (ride.pace.hurried_steps, ride.pace.extended_steps) == (1, 0)


def test_a_run_that_is_ahead_computes_more_of_what_it_would_reuse() -> None:
    ride = Ride(600.0, cached=True)

    assert ride.step(0, 50.0) > 0
    assert (ride.pace.hurried_steps, ride.pace.extended_steps) == (0, 1)


def test_a_step_with_nothing_left_to_compute_is_as_planned() -> None:
    assert Ride(600.0).step(0, 10.0) == 0.0


def test_a_run_with_ample_time_left_is_not_steered() -> None:
    ride = Ride(1100.0)

    assert not ride.pace.steers
    assert ride.step(0, 200.0) == 0.0


def test_a_run_that_keeps_its_quality_computes_no_less_than_planned() -> None:
    ride = Ride(600.0, loose=False)

    assert ride.step(0, 500.0) == 0.0


def test_a_run_that_keeps_its_quality_may_compute_more() -> None:
    assert Ride(600.0, loose=False, cached=True).step(0, 50.0) > 0


def test_a_run_that_would_miss_its_deadline_reuses_all_it_can() -> None:
    ride = Ride(520.0)

    assert ride.step(0, 300.0) == -100.0


@pytest.mark.parametrize(("reserve_ms", "late"), [(0.0, False), (19.0, False), (21.0, True)])
def test_the_reserve_is_kept_free_before_the_deadline(reserve_ms: float, late: bool) -> None:
    ride = Ride(520.0, reserve_ms=reserve_ms)

    assert ride.pace.is_late(0, ride.clock.now_s + 0.1) is late


def test_after_the_last_step_nothing_can_be_steered() -> None:
    ride = Ride(520.0)

    assert ride.step(3, 10_000.0) == 0.0


def test_what_was_left_out_is_not_counted_as_worked() -> None:
    ride = Ride(900.0)
    ride.step(0, 150.0)

    assert ride.pace.worked_ms == PREDICTED_MS - 30.0


def test_a_deadline_before_the_promised_end_is_what_a_run_aims_at() -> None:
    assert Ride(450.0).step(0, 100.0) < 0


def test_a_pause_is_no_reason_to_hurry() -> None:
    ride = Ride(2_000.0, cached=True)
    ride.pace.steers = True
    ride.step(0, 100.0)
    with ride.pace.paused():
        ride.clock.now_s += 0.5

    assert ride.step(1, 100.0) == 0.0


def test_after_a_pause_the_deadline_still_holds() -> None:
    ride = Ride(1_100.0)
    ride.step(0, 100.0)
    with ride.pace.paused():
        ride.clock.now_s += 0.7

    assert ride.step(1, 100.0) < 0
    assert ride.pace.steers


def test_what_is_left_of_a_run_is_told_at_its_own_pace() -> None:
    steady, slow = Ride(2_000.0), Ride(2_000.0)
    steady.step(0, 100.0)
    slow.step(0, 200.0)

    assert steady.pace.underway.predicted_ms == pytest.approx(400.0)
    assert steady.pace.underway.left_ms == pytest.approx(1_900.0)
    assert slow.pace.underway.predicted_ms > 450.0
