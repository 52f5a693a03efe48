"""Random but valid graphs, tables, costs and plan books for property tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from schedules.book import Plan, PlanBook, Quality
from schedules.change import ChangeProfile
from schedules.cost import CostModel, StageCosts
from schedules.schedule import Schedule
from schedules.units import Role, Unit, UnitGraph

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy

MS: SearchStrategy[float] = st.floats(0, 1000)


@st.composite
def graphs(draw: DrawFn) -> UnitGraph:
    """Draw a graph in which every unit is on a path to the output, as in a real UNet."""
    roles = draw(st.lists(st.sampled_from(Role), min_size=1, max_size=8))
    feeds = tuple(
        tuple(sorted(draw(st.sets(st.integers(0, u - 1), max_size=3)))) if u else ()
        for u in range(len(roles))
    )
    read = {feed for of_unit in feeds for feed in of_unit}
    sinks = tuple(u for u in range(len(roles)) if u not in read)
    return UnitGraph(tuple(Unit(f"unit.{u}", r) for u, r in enumerate(roles)), feeds, sinks)


@st.composite
def tables(draw: DrawFn, units: int, max_steps: int = 6) -> Schedule:
    """Draw a schedule table for a UNet of so many units."""
    row = st.tuples(*[st.booleans()] * units)
    rest = draw(st.lists(row, max_size=max_steps - 1))
    return Schedule(((True,) * units, *rest))


@st.composite
def profiles(draw: DrawFn, units: int) -> ChangeProfile:
    """Draw a change profile of so many units."""
    change = st.floats(0, 2)
    steps = draw(st.integers(1, 6))
    of_unit = st.tuples(*[change] * steps)
    mean = draw(st.tuples(*[of_unit] * units))
    return ChangeProfile(mean, mean, samples=1)


@st.composite
def cost_models(draw: DrawFn, units: int) -> CostModel:
    """Draw costs of one batch size."""
    unit_ms = draw(st.tuples(*[MS] * units))
    encode, start, fixed, decode, png = draw(st.tuples(*[MS] * 5))
    return CostModel(((1, StageCosts(encode, start, fixed, unit_ms, decode, png)),))


@st.composite
def books(draw: DrawFn) -> PlanBook:
    """Draw a plan book of one to six plans of different quality."""
    graph = draw(graphs())
    qualities = draw(st.lists(st.floats(0, 1), min_size=1, max_size=6))
    plans = tuple(
        Plan.of("ddim", f"rule-{i}", draw(tables(len(graph))), graph, Quality("psnr", quality))
        for i, quality in enumerate(qualities)
    )
    return PlanBook("emoji", "r1", 64, 64, "psnr", graph, plans)
