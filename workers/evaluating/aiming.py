"""Schedules that are as much faster than uncached as one wants."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from schedules.influence import Table
from schedules.schedule import Schedule
from schedules.search import BISECTIONS, WIDER, Search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from schedules.cost import StageCosts
    from schedules.influence import Influence
    from schedules.units import UnitGraph

CLOSE = math.log(1.03)
# Of the paper's threshold: changes of all steps sum up to less.
LARGEST_DELTA = 20.0
DELTA_BISECTIONS = 24
MOST_ABOVE = 1.02
# What a speed-up must exceed to be worth a plan, and by how much another may exceed it.
BEYOND, NEAR = 1.05, 1.06
# A schedule is aimed at so often.
ATTEMPTS = 3
# What is to be as fast as another aims so much higher: both are measured again. Where nothing else
# is faster, no other plan makes up for a moment that told too much.
AHEAD, FAR_AHEAD = 1.03, 1.15


@dataclass(frozen=True, slots=True)
class _Tried:
    schedule: Schedule
    error: float
    miss: float


def aimed(
    influence: Influence,
    graph: UnitGraph,
    costs: StageCosts,
    speed_up: float,
    *,
    trust: bool = False,
) -> Schedule:
    """Return the schedule of least expected error with about the predicted speed-up asked for.

    Within 3 % of it, or the nearest where the search finds none there. With `trust` what was
    measured is taken for true, also what may be small by chance.
    """
    table = Table(influence, graph) if trust else Table.to_choose_by(influence, graph)
    tried = list(_bisected(Search(influence, graph, costs, table=table), table, costs, speed_up))
    close = [one for one in tried if one.miss <= CLOSE]
    if close:
        return min(close, key=lambda one: one.error).schedule
    return min(tried, key=lambda one: one.miss).schedule


def _bisected(search: Search, table: Table, costs: StageCosts, speed_up: float) -> Iterator[_Tried]:
    """Narrow the price of time down; every search starts from the last schedule that was slower."""
    low, *_, high = search.prices() * 2  # there may be a single price
    low /= WIDER
    slower = np.ones(search.shape, bool)
    for _ in range(BISECTIONS):
        price = math.sqrt(low * high)
        computes = search.best(price, slower)
        schedule = Schedule.of(computes.tolist())
        reached = predicted_speed_up(schedule, costs)
        yield _Tried(schedule, table.error(computes), abs(math.log(reached / speed_up)))
        if reached > speed_up:
            high = price
        else:
            low, slower = price, computes


def threshold(
    schedule_of: Callable[[float], Schedule], costs: StageCosts, speed_up: float
) -> tuple[float, Schedule]:
    """Return the smallest threshold δ with the predicted speed-up asked for, and its schedule.

    Of the paper's rule: the speed-up grows with δ. The largest tried where none is as fast.
    """
    low, high = 0.0, LARGEST_DELTA
    for _ in range(DELTA_BISECTIONS):
        delta = (low + high) / 2
        if predicted_speed_up(schedule_of(delta), costs) < speed_up:
            low = delta
        else:
            high = delta
    return high, schedule_of(high)


class Scale:
    """How fast schedules are: what unit costs promise, times the share of it that is reached.

    The share is the usual one of all schedules measured so far. A few runs of a single one would
    tell more of the moment than of the schedule.
    """

    def __init__(self, costs: StageCosts, measured: Callable[[Schedule], float]) -> None:
        self._costs, self._measured = costs, measured
        self._shares: dict[Schedule, float] = {}

    @property
    def share(self) -> float:
        """Measured ÷ promised speed-up; 1 before anything was measured."""
        return median(self._shares.values()) if self._shares else 1.0

    def speed_up(self, schedule: Schedule) -> float:
        """Measure a schedule, and return how many times faster than uncached it should be."""
        promised = predicted_speed_up(schedule, self._costs)
        self._shares[schedule] = self._measured(schedule) / promised
        return promised * self.share


def measured_at(goal: float, make: Callable[[float], Schedule], scale: Scale) -> Schedule:
    """Return a schedule that should be `goal` times as fast as uncached, or up to 2 % faster.

    `make` finds schedules of a promised speed-up, and may miss it a little: it is asked again.
    """
    asked = goal * math.sqrt(MOST_ABOVE) / scale.share
    for _ in range(ATTEMPTS):
        made = make(asked)
        reached = scale.speed_up(made)
        if goal <= reached <= goal * MOST_ABOVE:
            return made
        asked *= goal * math.sqrt(MOST_ABOVE) / reached
    return make(asked)


def predicted_speed_up(schedule: Schedule, costs: StageCosts) -> float:
    """Return how many times faster than uncached a schedule is by unit costs."""
    steps, runs = schedule.steps, schedule.unit_runs
    return costs.denoise_ms(steps, (steps,) * len(runs)) / costs.denoise_ms(steps, runs)


def further(others: Iterable[float], asked: Sequence[float]) -> list[float]:
    """Return speed-ups a little above those of others that none asked for is just above."""
    goals = list(asked)
    for one in sorted(others, reverse=True):
        if one > BEYOND and not any(one <= goal_ <= one * NEAR for goal_ in goals):
            goals.append(one * (FAR_AHEAD if one > max(goals, default=0.0) else AHEAD))
    return goals[len(asked) :]
