"""Rules that make schedules. Every rule is a function of numbers and returns a Schedule."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING

from schedules.errors import InvalidProfile, InvalidSchedule
from schedules.schedule import Schedule
from schedules.units import Role

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from schedules.change import ChangeProfile
    from schedules.units import UnitGraph

PAPER_ROLES = (Role.TRANSFORMER,)
RESIDUAL = (Role.TRANSFORMER, Role.RESNET)
EVERY_LAYER = (Role.TRANSFORMER, Role.RESNET, Role.SAMPLER)


def all_compute(steps: int, graph: UnitGraph) -> Schedule:
    """Return the uncached schedule."""
    return Schedule(((True,) * len(graph),) * _checked(steps))


def accumulate(
    profile: ChangeProfile, graph: UnitGraph, delta: float, roles: Iterable[Role] = PAPER_ROLES
) -> Schedule:
    """Reuse a unit while the change summed since its last compute stays at or below `delta`.

    The paper's rule (Wimbauer et al., CVPR 2024, eq. 7): with the last compute at step a, the unit
    is computed again at the first s where Σ_{τ=a+1..s} d_u(τ) > δ. Units of other roles always
    compute. Raises InvalidProfile when the profile was measured for other units.
    """
    if profile.units != len(graph):
        raise InvalidProfile(f"{profile.units} units measured, the UNet has {len(graph)}")
    cached = set(graph.with_role(*roles))
    columns = [
        _accumulated(profile.mean[u], delta) if u in cached else [True] * profile.steps
        for u in range(len(graph))
    ]
    return Schedule.of(zip(*columns, strict=True)).normalised(graph)


def _accumulated(changes: Sequence[float], delta: float) -> list[bool]:
    column, staleness = [True], 0.0
    for change in changes:
        staleness += change
        column.append(staleness > delta)
        staleness = 0.0 if column[-1] else staleness
    return column


def uniform(
    steps: int, graph: UnitGraph, interval: int, roles: Iterable[Role] = RESIDUAL
) -> Schedule:
    """Compute every unit at every `interval`-th step and reuse units of `roles` in between."""
    return _on_key_steps(every(steps, interval), graph, set(graph.with_role(*roles)))


def spread(
    steps: int, graph: UnitGraph, share: float, roles: Iterable[Role] = RESIDUAL
) -> Schedule:
    """Compute every unit at `share` of the steps, spread evenly; reuse units of `roles` elsewhere.

    Raises InvalidSchedule when the share is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise InvalidSchedule(f"the share of computed steps must be in (0, 1], not {share}")
    keys = [math.ceil((s + 1) * share) > math.ceil(s * share) for s in range(_checked(steps))]
    return _on_key_steps(keys, graph, set(graph.with_role(*roles)))


def deepcache(steps: int, graph: UnitGraph, interval: int, branch: int = 0) -> Schedule:
    """Recompute the deep part of the UNet every `interval`-th step only (Ma et al., CVPR 2024).

    In between, the main-branch feature that enters an up layer is reused and everything that only
    feeds it is skipped. Branch 0 is the last up layer, 1 the one before it, and so on. Raises
    InvalidSchedule when the UNet has no such branch.
    """
    cuts = main_branch_cuts(graph)
    if not 0 <= branch < len(cuts):
        raise InvalidSchedule(f"branch must be 0 to {len(cuts) - 1}, not {branch}")
    return _on_key_steps(every(steps, interval), graph, {cuts[branch]})


def rested(schedule: Schedule, graph: UnitGraph, share: float) -> Schedule:
    """Return a longer schedule: a step of rest follows each of the last `share` of its steps.

    A step of rest computes nothing where the UNet's output is a unit. The last step has none after
    it, for the picture is made of what it predicts. Raises InvalidSchedule when the share is not in
    (0, 1].
    """
    if not 0 < share <= 1:
        raise InvalidSchedule(f"the share of steps to rest after must be in (0, 1], not {share}")
    first, last = round(schedule.steps * (1 - share)), schedule.steps - 1
    rest = (False,) * schedule.units
    pairs = (
        (row, rest) if first <= step < last else (row,)
        for step, row in enumerate(schedule.computes)
    )
    return Schedule(tuple(chain.from_iterable(pairs))).normalised(graph)


def main_branch_cuts(graph: UnitGraph) -> tuple[int, ...]:
    """Return the output units of the up path, last one first: where DeepCache can cut."""
    outputs = graph.with_role(Role.ENTRY, Role.SAMPLER)
    return tuple(u for u in reversed(outputs) if graph.units[u].name.startswith("up."))


def every(steps: int, interval: int) -> list[bool]:
    """Return which steps are key steps when every `interval`-th one is, from step 0 on."""
    if interval < 1:
        raise InvalidSchedule(f"the interval must be at least 1, not {interval}")
    return [s % interval == 0 for s in range(_checked(steps))]


def _on_key_steps(keys: Sequence[bool], graph: UnitGraph, reused: Collection[int]) -> Schedule:
    between = [u not in reused for u in range(len(graph))]
    key = [True] * len(graph)
    return Schedule.of(key if is_key else between for is_key in keys).normalised(graph)


def _checked(steps: int) -> int:
    if steps < 1:
        raise InvalidSchedule(f"there must be at least one step, not {steps}")
    return steps
