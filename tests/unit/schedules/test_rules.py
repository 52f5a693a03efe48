from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.change import ChangeProfile
from schedules.errors import InvalidProfile, InvalidSchedule
from schedules.rules import (
    EVERY_LAYER,
    accumulate,
    all_compute,
    deepcache,
    every,
    main_branch_cuts,
    rested,
    spread,
    uniform,
)
from schedules.schedule import Schedule, Work
from schedules.units import Role, Unit, UnitGraph
from tests.builders import a_unet_graph
from tests.strategies import graphs, profiles, tables

ONE = UnitGraph((Unit("mid.attn.0", Role.TRANSFORMER),), feeds=((),), sinks=(0,))


def alike(graph: UnitGraph, *changes: float) -> ChangeProfile:
    """Return a profile in which every unit changes alike."""
    return ChangeProfile((changes,) * len(graph), (changes,) * len(graph), samples=1)


def keys(schedule: Schedule, unit: int = 0) -> list[int]:
    """Return the steps at which a unit computes."""
    return [s for s, row in enumerate(schedule.computes) if row[unit]]


def names(graph: UnitGraph, schedule: Schedule, work: Work, step: int = 1) -> list[str]:
    row = schedule.work(graph)[step]
    return [unit.name for unit, done in zip(graph.units, row, strict=True) if done is work]


def test_the_uncached_schedule_computes_every_unit_at_every_step() -> None:
    assert all_compute(3, a_unet_graph()).computes == ((True,) * 11,) * 3


def test_change_accumulates_until_it_exceeds_delta() -> None:
    schedule = accumulate(alike(ONE, 0.25, 0.25, 0.25, 0.25, 0.25), ONE, delta=0.6)

    assert keys(schedule) == [0, 3]


def test_a_sum_equal_to_delta_is_still_reused() -> None:
    schedule = accumulate(alike(ONE, 0.25, 0.25, 0.25, 0.25), ONE, delta=0.5)

    assert keys(schedule) == [0, 3]


def test_accumulation_starts_anew_after_a_compute() -> None:
    schedule = accumulate(alike(ONE, 1.0, 0.25, 0.25, 0.25, 0.25), ONE, delta=0.5)

    assert keys(schedule) == [0, 1, 4]


def test_delta_0_computes_whenever_there_is_any_change() -> None:
    assert keys(accumulate(alike(ONE, 0.1, 0.0, 0.1), ONE, delta=0.0)) == [0, 1, 3]


def test_every_unit_follows_its_own_change() -> None:
    units = (Unit("a", Role.TRANSFORMER), Unit("b", Role.TRANSFORMER))
    graph = UnitGraph(units, feeds=((), (0,)), sinks=(1,))
    changes = ((0.75, 0.75), (0.25, 0.25))
    schedule = accumulate(ChangeProfile(changes, changes, 1), graph, delta=0.4)

    assert (keys(schedule, 0), keys(schedule, 1)) == ([0, 1, 2], [0, 2])


def test_units_of_other_roles_always_compute() -> None:
    graph = a_unet_graph()
    schedule = accumulate(alike(graph, 0.1), graph, delta=9.0)

    assert names(graph, schedule, Work.REUSED) == ["down.0.attn.0", "up.1.attn.0"]
    assert names(graph, schedule, Work.SKIPPED) == []


def test_caching_samplers_too_skips_what_only_feeds_them() -> None:
    graph = a_unet_graph()
    schedule = accumulate(alike(graph, 0.1), graph, delta=9.0, roles=EVERY_LAYER)

    assert "mid.resnet.0" in names(graph, schedule, Work.SKIPPED)


def test_a_profile_of_another_unet_is_refused() -> None:
    with pytest.raises(InvalidProfile, match="1 units measured"):
        accumulate(alike(ONE, 0.1), a_unet_graph(), delta=0.5)


def test_uniform_reuses_between_every_nth_step() -> None:
    graph = a_unet_graph()
    schedule = uniform(7, graph, interval=3)

    assert keys(schedule, graph.index("mid.resnet.0")) == [0, 3, 6]
    assert keys(schedule, graph.index("up.0.upsampler")) == list(range(7))


def test_an_interval_of_1_is_the_uncached_schedule() -> None:
    graph = a_unet_graph()

    assert uniform(4, graph, 1) == deepcache(4, graph, 1) == all_compute(4, graph)


@pytest.mark.parametrize(("share", "count"), [(1.0, 20), (0.75, 15), (0.5, 10), (0.35, 7)])
def test_spread_computes_its_share_of_the_steps(share: float, count: int) -> None:
    graph = a_unet_graph()
    computed = keys(spread(20, graph, share), graph.index("mid.resnet.0"))
    gaps = {b - a for a, b in zip(computed, [*computed[1:], 20], strict=True)}

    assert len(computed) == count
    assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("share", [0.0, -0.5, 1.1])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(InvalidSchedule, match="share"):
        spread(4, a_unet_graph(), share)


def test_the_last_up_layer_is_deepcaches_branch_0() -> None:
    graph = a_unet_graph()
    cuts = [graph.units[u].name for u in main_branch_cuts(graph)]

    assert cuts == ["up.1.entry.1", "up.0.upsampler", "up.0.entry.0"]


@pytest.mark.parametrize(
    ("branch", "reused", "skipped"),
    [
        (0, "up.1.entry.1", 8),
        (1, "up.0.upsampler", 4),
        (2, "up.0.entry.0", 1),
    ],
)
def test_deepcache_reuses_its_cut_and_skips_what_is_deeper(
    branch: int, reused: str, skipped: int
) -> None:
    graph = a_unet_graph()
    schedule = deepcache(4, graph, interval=2, branch=branch)

    assert names(graph, schedule, Work.REUSED) == [reused]
    assert len(names(graph, schedule, Work.SKIPPED)) == skipped
    assert len(names(graph, schedule, Work.COMPUTED, step=2)) == len(graph)


def test_a_branch_the_unet_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidSchedule, match="0 to 2, not 3"):
        deepcache(4, a_unet_graph(), 2, branch=3)


@pytest.mark.parametrize(("steps", "interval"), [(0, 2), (4, 0), (4, -1)])
def test_key_steps_need_a_step_and_an_interval(steps: int, interval: int) -> None:
    with pytest.raises(InvalidSchedule):
        every(steps, interval)


@given(graphs().flatmap(lambda g: st.tuples(st.just(g), profiles(len(g)))), st.floats(0, 3))
def test_accumulate_makes_a_table_that_can_run(
    case: tuple[UnitGraph, ChangeProfile], delta: float
) -> None:
    graph, profile = case
    schedule = accumulate(profile, graph, delta, roles=EVERY_LAYER)

    assert schedule.steps == profile.steps
    assert all(schedule.computes[0])
    assert schedule.normalised(graph) == schedule


@given(profiles(1), st.floats(0, 3))
def test_no_reuse_is_staler_than_delta(profile: ChangeProfile, delta: float) -> None:
    column = [row[0] for row in accumulate(profile, ONE, delta).computes]
    staleness = 0.0
    for computes, change in zip(column[1:], profile.mean[0], strict=True):
        staleness = staleness + change
        assert computes == (staleness > delta)
        staleness = 0.0 if computes else staleness


@pytest.mark.parametrize(
    ("share", "pattern"), [(1.0, "x-x-x-x-x"), (0.75, "xx-x-x-x"), (0.5, "xxx-x-x"), (0.2, "xxxxx")]
)
def test_a_rest_follows_each_late_step_but_the_last(share: float, pattern: str) -> None:
    graph = a_unet_graph()
    schedule = rested(all_compute(5, graph), graph, share)

    assert "".join("x" if all(row) else "-" for row in schedule.computes) == pattern


def test_a_rest_spares_the_whole_call_where_the_output_is_a_unit() -> None:
    units = (Unit("mid.attn.0", Role.TRANSFORMER), Unit("output", Role.OUTPUT))
    graph = UnitGraph(units, feeds=((), (0,)), sinks=(1,))

    schedule = rested(all_compute(2, graph), graph, 1.0)

    assert names(graph, schedule, Work.REUSED) == ["output"]
    assert names(graph, schedule, Work.SKIPPED) == ["mid.attn.0"]


@given(st.data())
def test_steps_of_rest_add_no_work_and_take_none_away(data: st.DataObject) -> None:
    graph = data.draw(graphs())
    schedule = data.draw(tables(len(graph))).normalised(graph)

    found = rested(schedule, graph, data.draw(st.floats(0.01, 1)))

    assert [row for row in found.computes if any(row)] == [
        row for row in schedule.computes if any(row)
    ]
    assert found.steps - schedule.steps <= schedule.steps - 1


@pytest.mark.parametrize("share", [0.0, -0.5, 1.1])
def test_the_share_of_steps_to_rest_after_is_checked(share: float) -> None:
    with pytest.raises(InvalidSchedule, match="share of steps to rest after"):
        rested(all_compute(4, a_unet_graph()), a_unet_graph(), share)
