from __future__ import annotations

import json

import pytest
from hypothesis import given

from schedules.errors import InvalidGraph
from schedules.units import Role, Unit, UnitGraph
from tests.builders import a_unet_graph
from tests.strategies import graphs

A, B = Unit("a", Role.RESNET), Unit("b", Role.SAMPLER)


def live_names(graph: UnitGraph, *reused: str) -> set[str]:
    live = graph.live([unit.name not in reused for unit in graph.units])
    return {unit.name for unit, needed in zip(graph.units, live, strict=True) if needed}


def test_everything_on_the_way_to_the_output_is_live_when_all_compute() -> None:
    graph = a_unet_graph()

    assert live_names(graph) == {unit.name for unit in graph.units}


def test_a_reused_output_unit_kills_what_only_feeds_it() -> None:
    graph = a_unet_graph()
    dead = {unit.name for unit in graph.units} - live_names(graph, "up.0.upsampler")

    assert dead == {"down.0.downsampler", "mid.resnet.0", "up.0.entry.0", "up.0.resnet.0"}


def test_a_reused_output_unit_is_itself_still_needed() -> None:
    assert "up.0.entry.0" in live_names(a_unet_graph(), "up.0.entry.0")


@pytest.mark.parametrize("name", ["down.0.attn.0", "mid.resnet.0", "up.1.attn.0"])
def test_a_reused_residual_unit_keeps_its_input_alive(name: str) -> None:
    graph = a_unet_graph()

    assert live_names(graph, name) == live_names(graph)


def test_a_unit_read_over_a_skip_lives_on_when_the_deep_path_is_cut() -> None:
    live = live_names(a_unet_graph(), "up.1.entry.1")

    assert live == {"down.0.resnet.0", "up.1.entry.1", "up.1.resnet.1"}


def test_a_unit_nobody_reads_is_dead() -> None:
    graph = UnitGraph((A, B), feeds=((), ()), sinks=(1,))

    assert graph.live((True, True)) == (False, True)


def test_units_are_found_by_name_and_by_role() -> None:
    graph = a_unet_graph()

    assert graph.index("up.0.upsampler") == 6
    assert graph.with_role(Role.ENTRY, Role.SAMPLER) == (2, 4, 6, 9)


def test_asking_for_an_unknown_unit_names_it() -> None:
    with pytest.raises(InvalidGraph, match=r"up\.9"):
        a_unet_graph().index("up.9")


@pytest.mark.parametrize(
    ("units", "feeds", "sinks"),
    [
        ((), (), ()),
        ((A, A), ((), ()), (1,)),
        ((A, B), ((),), (1,)),
        ((A, B), ((0,), ()), (1,)),
        ((A, B), ((1,), ()), (1,)),
        ((A, B), ((), (-1,)), (1,)),
        ((A, B), ((), (0,)), (2,)),
    ],
    ids=["empty", "same name", "no feeds", "reads itself", "reads later", "below 0", "no sink"],
)
def test_a_contradictory_graph_is_refused(
    units: tuple[Unit, ...], feeds: tuple[tuple[int, ...], ...], sinks: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidGraph):
        UnitGraph(units, feeds, sinks)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"units": [["a", "resnet"]], "feeds": [[]]},
        {"units": [["a", "engine"]], "feeds": [[]], "sinks": [0]},
        {"units": [7], "feeds": [[]], "sinks": [0]},
    ],
    ids=["empty", "no sinks", "unknown role", "no names"],
)
def test_data_that_is_no_graph_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(InvalidGraph):
        UnitGraph.from_dict(data)


@given(graphs())
def test_a_graph_survives_json(graph: UnitGraph) -> None:
    assert UnitGraph.from_dict(json.loads(json.dumps(graph.to_dict()))) == graph


@given(graphs())
def test_computing_less_never_needs_more(graph: UnitGraph) -> None:
    everything = graph.live((True,) * len(graph))
    nothing = graph.live((False,) * len(graph))

    assert all(everything)
    assert all(a or not b for a, b in zip(everything, nothing, strict=True))


def test_residual_units_are_told_apart_by_how_often_the_latents_were_halved() -> None:
    graph = a_unet_graph()
    names = {
        halvings: {graph.units[u].name for u in units}
        for halvings, units in graph.residual_by_halvings().items()
    }

    assert names[1] == {"mid.resnet.0", "up.0.resnet.0"}
    assert names[0] == {unit.name for unit in graph.units if unit.is_residual} - names[1]
