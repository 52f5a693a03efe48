from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.book import Plan, Quality
from schedules.cost import CostModel, Drift, StageCosts, drift_of, extra_of
from schedules.errors import InvalidCosts
from schedules.schedule import Schedule
from schedules.units import UnitGraph
from tests.strategies import cost_models, graphs, tables

if TYPE_CHECKING:
    from collections.abc import Sequence

ONE = StageCosts(
    encode_ms=1.0, start_ms=2.0, fixed_ms=3.0, unit_ms=(10.0, 20.0), decode_ms=4.0, png_ms=5.0
)
FOUR = StageCosts(
    encode_ms=4.0, start_ms=2.0, fixed_ms=6.0, unit_ms=(40.0, 50.0), decode_ms=16.0, png_ms=20.0
)
EXACT = Drift(1.0, 1.0)


def test_denoising_costs_start_fixed_steps_and_the_units_that_compute() -> None:
    assert ONE.denoise_ms(steps=4, unit_runs=(4, 1)) == 2 + 4 * 3 + 4 * 10 + 1 * 20


def test_a_full_step_is_the_fixed_part_and_all_units() -> None:
    assert ONE.full_step_ms == 33


def test_the_compute_fraction_is_weighted_by_unit_time() -> None:
    assert ONE.compute_fraction(steps=2, unit_runs=(2, 1)) == pytest.approx(40 / 60)


def test_the_whole_picture_costs_all_stages() -> None:
    model = CostModel(((1, ONE),), EXACT)

    assert model.total_ms(1, (1, 1)) == 1 + (2 + 33) + 4 + 5


def test_costs_of_other_units_are_refused() -> None:
    with pytest.raises(InvalidCosts, match="2 units measured, 3 asked for"):
        ONE.denoise_ms(1, (1, 1, 1))


def test_a_negative_time_is_refused() -> None:
    with pytest.raises(InvalidCosts, match="negative"):
        replace(ONE, unit_ms=(1.0, -1.0))


@pytest.mark.parametrize(("batch", "unit_ms"), [(1, 10), (2, 20), (3, 30), (4, 40), (8, 80)])
def test_batches_between_and_beyond_measured_ones_lie_on_a_line(batch: int, unit_ms: float) -> None:
    assert CostModel(((1, ONE), (4, FOUR))).at(batch).unit_ms[0] == pytest.approx(unit_ms)


def test_the_nearest_two_measured_batches_decide() -> None:
    eight = replace(FOUR, fixed_ms=100.0)
    model = CostModel(((1, ONE), (4, FOUR), (8, eight)))

    assert model.at(2).fixed_ms == pytest.approx(4.0)
    assert model.at(6).fixed_ms == pytest.approx(53.0)


def test_a_smaller_batch_than_any_measured_never_costs_less_than_nothing() -> None:
    steep = CostModel(((2, ONE), (3, replace(FOUR, encode_ms=100.0))))

    assert steep.at(1).encode_ms == 0.0


def test_a_single_measured_batch_is_scaled() -> None:
    assert CostModel(((2, FOUR),)).at(4).unit_ms == (80.0, 100.0)
    assert CostModel(((2, FOUR),)).at(1).decode_ms == 8.0


def test_drift_stretches_the_prediction() -> None:
    model = CostModel(((1, ONE),), EXACT)
    drifted = model.drifted(Drift(1.5, 2.0))

    assert drifted.total_ms(2, (2, 2)) == pytest.approx(1.5 * model.total_ms(2, (2, 2)))
    assert drifted.stray_ms() == pytest.approx(0.5 * ONE.tail_ms)
    assert drifted.p95_ms(2, (2, 2)) == pytest.approx(
        drifted.total_ms(2, (2, 2)) + drifted.stray_ms()
    )


def test_the_tail_of_a_run_is_its_last_step_and_the_picture() -> None:
    assert ONE.tail_ms == ONE.full_step_ms + ONE.decode_ms + ONE.png_ms


@pytest.mark.parametrize(("median", "p95"), [(0.0, 1.0), (-1.0, 1.0), (1.2, 1.1)])
def test_a_drift_that_cannot_be_is_refused(median: float, p95: float) -> None:
    with pytest.raises(InvalidCosts):
        Drift(median, p95)


def test_drift_follows_a_machine_that_slows_down() -> None:
    found = drift_of([1.0] * 40 + [1.2] * 12)

    assert found.median == pytest.approx(1.2, rel=0.02)


def test_one_wild_ratio_hardly_moves_the_median() -> None:
    assert drift_of([1.0] * 20 + [50.0]).median < 1.1


def test_the_high_end_is_how_far_ratios_strayed_from_those_before() -> None:
    steady, uneven = [1.0, 1.01] * 30, [1.0, 1.3] * 30

    assert high_end(steady) == pytest.approx(1.007, abs=0.003)
    assert 1.15 < high_end(uneven) < 1.3


def high_end(ratios: list[float], strays: Sequence[float] = ()) -> float:
    drift = drift_of(ratios, strays, room=1.0)
    return drift.p95 / drift.median


def test_the_high_end_is_what_steered_runs_strayed_once_there_are_some() -> None:
    ratios, few, many = [1.0, 1.3] * 30, [1.01] * 3, [1.01] * 40

    assert high_end(ratios, many) == pytest.approx(1.01)
    assert high_end(ratios, few) == high_end(ratios)


def test_runs_that_ended_early_leave_no_less_time_than_the_median() -> None:
    assert high_end([1.0] * 30, [0.8] * 30) == 1.0


def test_a_rare_stray_is_not_the_high_end() -> None:
    assert high_end(([1.0] * 32 + [1.9]) * 2 + [1.0] * 20) < 1.1 / 1.08


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=64))
def test_drift_lies_within_the_ratios_it_was_told(ratios: list[float]) -> None:
    found = drift_of(ratios)

    assert min(ratios) * (1 - 1e-9) <= found.median <= max(ratios) * (1 + 1e-9)
    assert found.p95 >= found.median


def test_equal_ratios_leave_some_room_above_the_median() -> None:
    assert drift_of([2.0] * 8, room=1.1).p95 == pytest.approx(2.2)


def test_without_ratios_the_drift_is_the_default() -> None:
    assert drift_of([]) == Drift()


@given(st.floats(0.5, 3.0), st.floats(0.0, 20.0), st.permutations([50, 60, 90, 140, 200] * 4))
def test_what_every_run_takes_besides_is_found_whatever_the_drift(
    drift: float, extra_ms: float, measured_ms: list[float]
) -> None:
    actual_ms = [drift * (ms + extra_ms) for ms in measured_ms]

    assert extra_of(measured_ms, actual_ms, near_ms=5.0) == pytest.approx(extra_ms, abs=1.0)


def test_runs_that_are_all_alike_leave_what_was_found_before() -> None:
    assert extra_of([50.0] * 9, [70.0, 75.0, 65.0] * 3, near_ms=5.0) == 5.0
    assert extra_of([], [], near_ms=5.0) == 5.0


@pytest.mark.parametrize("sizes", [(), (0,), (2, 1), (1, 1)])
def test_batch_sizes_must_rise_from_1(sizes: tuple[int, ...]) -> None:
    with pytest.raises(InvalidCosts, match="batch sizes"):
        CostModel(tuple((size, ONE) for size in sizes))


def test_costs_survive_json_in_rising_order() -> None:
    model = CostModel(((2, ONE), (10, FOUR)), Drift(1.1, 1.3))

    assert CostModel.from_dict(json.loads(json.dumps(model.to_dict()))) == model


@pytest.mark.parametrize(
    "data", [{}, {"by_batch": {}}, {"by_batch": {"1": {}}, "drift": {}}, {"by_batch": 3}]
)
def test_data_that_is_no_cost_model_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(InvalidCosts):
        CostModel.from_dict(data)


@given(
    graphs().flatmap(lambda g: st.tuples(st.just(g), tables(len(g)), cost_models(len(g)))),
    st.data(),
)
def test_computing_more_is_never_predicted_to_cost_less(
    case: tuple[UnitGraph, Schedule, CostModel], data: st.DataObject
) -> None:
    graph, lean, costs = case
    added = [[data.draw(st.booleans()) for _ in row] for row in lean.computes]
    rows = zip(lean.computes, added, strict=True)
    more = Schedule.of([a or b for a, b in zip(*row, strict=True)] for row in rows)
    cheap, dear = (
        Plan.of("ddim", "any", table, graph, Quality("psnr", 1.0)) for table in (lean, more)
    )

    cheap_ms = costs.total_ms(cheap.steps, cheap.unit_runs)
    assert cheap_ms <= costs.total_ms(dear.steps, dear.unit_runs) * (1 + 1e-9)
