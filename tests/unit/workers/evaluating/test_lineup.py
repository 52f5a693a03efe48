from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from schedules.rules import all_compute, spread
from tests.rendering import a_frame, is_untouched, some_prompts
from tests.tiny_books import book_for, costs_for
from workers.evaluating.aiming import AHEAD, FAR_AHEAD, further, predicted_speed_up
from workers.evaluating.lineup import Lineup, LineupSettings, whole_blocks
from workers.evaluating.peers import PEERS
from workers.evaluating.session import Shelf
from workers.influence import InfluenceSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.evaluating.methods import Method
    from workers.pipeline import Model

FEW = InfluenceSettings(projections=1, longest_lag=3)
STEPS = 6


def settings(**changes: object) -> LineupSettings:
    few = LineupSettings(tuple(some_prompts(1, 2)), speed_ups=(1.5,), influence=FEW)
    return replace(few, **changes)  # type: ignore[arg-type]


def lineup(model: Model, settings: LineupSettings) -> Lineup:
    def silent(_stage: str, _done: int, _total: int) -> None: ...

    return Lineup(model, a_frame(model, STEPS), costs_for(model).at(1), settings, silent)


def half_as_long(_method: Method) -> float:
    return 1.5


@pytest.fixture(scope="module")
def methods(models: Callable[[str], Model]) -> dict[str, Method]:
    line = lineup(models("sd1"), settings(delta=0.8))
    return {m.name: m for m in [*line.known(), *line.aimed((), half_as_long)]}


def test_the_uncached_run_comes_first(methods: dict[str, Method]) -> None:
    first = next(iter(methods.values()))

    assert first.name == "uncached"
    assert first.compute_fraction == pytest.approx(1.0)


def test_the_paper_s_rule_meets_its_corrections(methods: dict[str, Method]) -> None:
    naive, corrected = methods["paper, δ = 0.8"], methods["paper, δ = 0.8, closed form"]

    assert naive.frame.correction is None
    assert corrected.frame.correction is not None
    assert corrected.frame.correction.origin.kind == "closed-form"
    assert naive.frame.schedule == corrected.frame.schedule


def test_searched_schedules_are_as_much_faster_as_asked_for(
    tiny: Model, methods: dict[str, Method]
) -> None:
    plain, corrected = methods["searched, 1.5×"], methods["two taps, 1.5×"]
    reached = predicted_speed_up(plain.frame.schedule, costs_for(tiny).at(1))

    assert reached == pytest.approx(1.5, rel=0.15)
    assert corrected.frame.correction is not None
    assert corrected.frame.correction.is_two_tap
    assert predicted_speed_up(corrected.frame.schedule, costs_for(tiny).at(1)) >= reached * 0.9


def test_the_paper_s_rule_is_as_fast_as_searched_schedules(
    tiny: Model, methods: dict[str, Method]
) -> None:
    names = [name for name in methods if name.startswith("paper") and "1.5×" in name]
    reached = predicted_speed_up(methods[names[0]].frame.schedule, costs_for(tiny).at(1))

    assert names[1] == f"{names[0]}, closed form"
    assert reached == pytest.approx(1.5, rel=0.15)


def test_where_none_were_named_a_plan_is_as_fast_as_each_other(tiny: Model) -> None:
    line = lineup(tiny, settings(speed_ups=()))
    names = [m.name for m in line.aimed((1.2, 1.46, 1.01), half_as_long)]

    assert "two taps, 1.24×" in names
    assert "two taps, 1.5×" in names
    assert sum(name.startswith("two taps") for name in names) == 2
    assert set(line.seconds) == {"closed form", "searched", "two taps"}


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([1.2, 1.19], [1.2]),
        ([1.2, 1.1], [1.2, 1.1]),
        ([1.46], []),
        ([1.48, 1.3], [1.3]),
        ([1.0], []),
    ],
)
def test_a_goal_serves_all_that_are_a_little_slower(
    others: list[float], found: list[float]
) -> None:
    assert further(others, [1.5]) == [goal * AHEAD for goal in found]


def test_what_nothing_else_is_faster_than_is_outrun_clearly() -> None:
    assert further([2.4, 3.3], [1.5]) == [3.3 * FAR_AHEAD, 2.4 * AHEAD]
    assert further([1.51], [1.5]) == [1.51 * FAR_AHEAD]
    assert further([1.2], []) == [1.2 * FAR_AHEAD]


def test_every_installed_peer_takes_part(methods: dict[str, Method]) -> None:
    assert {peer.name for peer in PEERS if peer.is_installed} <= set(methods)


def test_nothing_is_left_on_the_unet(tiny: Model, methods: dict[str, Method]) -> None:
    assert methods
    assert is_untouched(tiny.pipe.unet)


def test_training_adds_a_trained_correction(tiny: Model) -> None:
    found = lineup(tiny, settings(delta=0.8, training_minutes=0.001)).known()
    (trained,) = (m for m in found if m.name.endswith("trained"))

    assert trained.frame.correction is not None
    assert trained.frame.correction.origin.kind == "trained"


def test_a_threshold_that_reuses_nothing_has_nothing_to_correct(tiny: Model) -> None:
    found = lineup(tiny, settings(delta=0.0)).known()

    assert [m.name for m in found if m.group == "paper"] == ["paper, δ = 0"]


def test_given_methods_are_taken_instead_of_a_search(tiny: Model) -> None:
    line = lineup(tiny, settings())
    own = line.own("plan", "searched", spread(STEPS, tiny.units.graph, 0.5))
    found = line.aimed((3.0,), half_as_long, ours=[own])

    assert [m for m in found if m.group in {"searched", "two taps"}] == [own]


def test_the_cached_plans_of_a_book_can_be_compared(tiny: Model) -> None:
    shelf = Shelf(book_for(tiny, STEPS))
    line = lineup(tiny, settings())

    assert [m.name for m in shelf.methods(line, "ddim", STEPS)] == ["uniform-2"]
    assert [m.name for m in shelf.methods(line, "ddim", STEPS // 2)] == ["deepcache-2"]
    assert shelf.methods(line, "dpmpp_2m", STEPS) == []


def test_the_speed_up_asked_for_depends_on_the_number_of_steps() -> None:
    several = settings(speed_ups=(1.5, 2.0))

    assert settings(speed_ups=()).targets(20) == (1.5,)
    assert settings(speed_ups=()).targets(50) == (1.8,)
    assert several.targets(20) == several.targets(50) == (1.5, 2.0)


def test_whole_blocks_compute_the_last_up_block_at_odd_steps(model: Model) -> None:
    graph = model.units.graph
    even, odd = whole_blocks(2, graph).computes
    last = max(u.name.split(".")[1] for u in graph.units if u.name.startswith("up."))
    computed = {unit.name for unit, c in zip(graph.units, odd, strict=True) if c} - {"out"}

    assert all(even)
    assert computed
    assert all(name.startswith(f"up.{last}.") for name in computed)
    assert whole_blocks(3, graph).computes[2] == all_compute(1, graph).computes[0]
