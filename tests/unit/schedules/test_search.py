from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedules.cost import StageCosts
from schedules.errors import InvalidCosts, InvalidProfile
from schedules.influence import Influence, Table, expected_error, spent_ms
from schedules.rules import all_compute, deepcache, uniform
from schedules.schedule import Schedule
from schedules.search import Found, Search, best_column
from schedules.units import Role, Unit, UnitGraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Computes = NDArray[np.bool_]

CHAIN = UnitGraph(
    units=(
        Unit("down.0.resnet.0", Role.RESNET),
        Unit("mid.attn.0", Role.TRANSFORMER),
        Unit("up.0.entry.0", Role.ENTRY),
        Unit("up.0.resnet.0", Role.RESNET),
    ),
    feeds=((), (0,), (1,), (0, 2)),
    sinks=(3,),
)
COSTS = StageCosts(1.0, 0.0, 1.0, (2.0, 3.0, 0.0, 4.0), 1.0, 1.0)


def influence(steps: int = 5, units: int = 4, lags: int = 4, seed: int = 0) -> Influence:
    """Return effects that grow with the lag, different for every unit and step."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(size=(units, steps, lags, 8)) * np.arange(1, lags + 1)[:, None]
    effects *= rng.uniform(0.01, 1, size=(units, steps, 1, 1))
    for step in range(steps):
        effects[:, step, step:] = 0
    return Influence(effects.astype(np.float32))


def segment_error(found: Influence, unit: int, column: list[bool]) -> float:
    """Add up, the slow way, what the reuses of one unit's every computed value do."""
    starts = [s for s, computes in enumerate(column) if computes] + [len(column)]
    total = 0.0
    for a, b in itertools.pairwise(starts):
        reused = [found.effects[unit, s, s - a - 1].astype(float) for s in range(a + 1, b)]
        total += float(np.square(np.sum(reused, axis=0)).mean()) if reused else 0.0
    return total


def test_effects_need_four_axes() -> None:
    with pytest.raises(InvalidProfile, match="four axes"):
        Influence(np.zeros((2, 3, 4), np.float32))


def test_an_uncached_run_has_no_error() -> None:
    assert expected_error(influence(), all_compute(5, CHAIN), CHAIN) == 0.0


def test_the_error_of_one_reuse_is_its_mean_squared_effect() -> None:
    rows = [[True] * 4 for _ in range(5)]
    rows[3][1] = False

    error = expected_error(influence(), Schedule.of(rows), CHAIN)

    assert error == pytest.approx(float(np.square(influence().effects[1, 3, 0]).mean()), rel=1e-5)


def test_effects_add_up_before_they_are_squared() -> None:
    effects = np.zeros((4, 3, 2, 1), np.float32)
    effects[0, 1, 0], effects[1, 2, 0] = 2.0, -2.0
    rows = [[True] * 4, [False, True, True, True], [True, False, True, True]]

    assert expected_error(Influence(effects), Schedule.of(rows), CHAIN) == 0.0


def test_sums_that_cancel_by_chance_are_trusted_in_part_only() -> None:
    effects = np.zeros((4, 3, 2, 1), np.float32)
    effects[0, 1, 0], effects[1, 2, 0] = 2.0, -2.0
    rows = [[True] * 4, [False, True, True, True], [True, False, True, True]]

    table = Table(Influence(effects), CHAIN, together=0.25)

    assert table.of(Schedule.of(rows)) == pytest.approx(0.75 * (4.0 + 4.0))


def test_every_projection_counts_alike_once_they_are_levelled() -> None:
    effects = influence().effects.copy()
    effects[..., 3] *= 100

    own = np.square(Influence(effects).levelled().effects[:, :, 0]).mean((0, 1))
    assert np.allclose(own, own[0])


def test_work_that_a_reused_output_hides_has_no_effect() -> None:
    effects = np.zeros((4, 2, 1, 1), np.float32)
    effects[1, 1, 0] = 5.0
    cut = Schedule.of([[True] * 4, [True, False, False, True]])

    assert expected_error(Influence(effects), cut, CHAIN) == 0.0


def test_a_reuse_older_than_measured_is_out_of_the_question() -> None:
    rows = [[True] * 4] + [[True, False, True, True]] * 4

    assert expected_error(influence(lags=2), Schedule.of(rows), CHAIN) == float("inf")


@given(seed=st.integers(0, 1000), step=st.integers(1, 4), lags=st.integers(2, 4))
@settings(max_examples=60, deadline=None)
def test_rows_are_priced_together_as_they_are_alone(seed: int, step: int, lags: int) -> None:
    rng, table = np.random.default_rng(seed), Table(influence(lags=lags, seed=seed), CHAIN)
    drawn = rng.random((5 + 6, 4)) < 0.5
    drawn[0] = True
    lean = np.stack([row & table.live(row) for row in drawn])
    computes, rows = lean[:5], lean[5:]

    def alone(row: Computes) -> float:
        changed = computes.copy()
        changed[step] = row
        return table.error(changed)

    together = table.errors(computes, step, rows)
    fits = np.isfinite(together)
    assert np.allclose(together[fits], [alone(row) for row in rows[fits]], rtol=1e-4, atol=1e-6)
    assert all(alone(row) == np.inf for row in rows[~fits])


def test_measurements_of_another_unet_are_refused() -> None:
    with pytest.raises(InvalidProfile, match="3 units measured"):
        Search(influence(units=3), CHAIN, COSTS)


def test_costs_of_another_unet_are_refused() -> None:
    other = StageCosts(1.0, 0.0, 1.0, (2.0,), 1.0, 1.0)

    with pytest.raises(InvalidCosts, match="1 units timed, 4 measured"):
        Search(influence(), CHAIN, other)


@given(seed=st.integers(0, 1000), unit=st.integers(0, 3), price=st.floats(0.001, 5))
@settings(max_examples=40, deadline=None)
def test_the_programme_finds_the_best_of_all_columns(seed: int, unit: int, price: float) -> None:
    found = influence(seed=seed)

    def worth(column: list[bool]) -> float:
        return segment_error(found, unit, column) + price * sum(column)

    columns = ([True, *rest] for rest in itertools.product([False, True], repeat=4))
    best = min(worth(column) for column in columns)
    assert worth(best_column(found, unit, price)) == pytest.approx(best, rel=1e-6)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_frontier_costs_less_and_errs_more_from_end_to_end(seed: int) -> None:
    found = Search(influence(seed=seed), CHAIN, COSTS).frontier()

    assert found[0].unit_ms >= found[-1].unit_ms
    assert found[0].error <= found[-1].error


@given(seed=st.integers(0, 1000), price=st.floats(0.001, 10))
@settings(max_examples=20, deadline=None)
def test_the_search_is_never_worse_than_plain_rules(seed: int, price: float) -> None:
    found = influence(seed=seed)
    rules = (all_compute(5, CHAIN), uniform(5, CHAIN, 2), deepcache(5, CHAIN, 2))

    (ours,) = Search(found, CHAIN, COSTS).frontier([price])

    def worth(schedule: Schedule) -> float:
        computes = np.array(schedule.normalised(CHAIN).computes)
        return Table.to_choose_by(found, CHAIN).error(computes) + price * spent_ms(
            computes, np.array(COSTS.unit_ms)
        )

    assert worth(ours.schedule) <= min(worth(rule) for rule in rules) * 1.3


@given(seed=st.integers(0, 1000), share=st.sampled_from([0.4, 0.7, 1.0]))
@settings(max_examples=20, deadline=None)
def test_what_is_found_near_a_schedule_is_as_quick_and_no_worse(seed: int, share: float) -> None:
    measured = influence(seed=seed)
    begin = uniform(5, CHAIN, 2)
    begin_ms = spent_ms(np.array(begin.normalised(CHAIN).computes), np.array(COSTS.unit_ms))

    found = Search(measured, CHAIN, COSTS).near(begin, begin_ms * share)

    if found is not None:
        assert found.unit_ms <= begin_ms * share * 1.0001
    if share == 1:
        assert found is not None
        assert found.error <= Table.to_choose_by(measured, CHAIN).of(begin)


@given(seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_no_time_is_left_that_one_more_compute_could_use(seed: int) -> None:
    measured = influence(seed=seed)
    table = Table.to_choose_by(measured, CHAIN)
    found = Search(measured, CHAIN, COSTS).near(all_compute(5, CHAIN), 25.0)

    assert found is not None
    computes = np.array(found.schedule.computes)
    for step, unit in np.argwhere(~computes):
        more = computes.copy()
        more[step, unit] = True
        lean = Schedule.of(more.tolist()).normalised(CHAIN)
        ms = spent_ms(np.array(lean.computes), np.array(COSTS.unit_ms))
        assert ms > 25.0 or table.of(lean) >= found.error * (1 - 1e-6)


def test_every_schedule_found_is_free_of_dead_work() -> None:
    for one in Search(influence(), CHAIN, COSTS).frontier():
        assert one.schedule == one.schedule.normalised(CHAIN)


def test_a_cheap_error_lets_everything_be_reused() -> None:
    found = Search(influence(), CHAIN, COSTS).frontier([1e9])

    assert found[0].unit_ms == sum(COSTS.unit_ms)  # those of step 0


@given(seed=st.integers(0, 1000), most=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_there_are_no_more_different_rows_than_wanted(seed: int, most: int) -> None:
    for found in Search(influence(seed=seed), CHAIN, COSTS, most_rows=most).frontier():
        assert len(set(found.schedule.computes)) <= most


def test_rows_are_merged_where_it_loses_least() -> None:
    free = Search(influence(), CHAIN, COSTS).frontier([0.05])[0]
    few = Search(influence(), CHAIN, COSTS, most_rows=2).frontier([0.05])[0]

    def worth(found: Found) -> float:
        return found.error + 0.05 * found.unit_ms

    uncached = spent_ms(np.ones((5, 4), bool), np.array(COSTS.unit_ms))
    assert worth(free) < worth(few) <= 0.05 * uncached
