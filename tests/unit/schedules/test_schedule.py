from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.errors import InvalidSchedule
from schedules.schedule import Counts, Reuse, Schedule, Work, work_of
from schedules.units import Role, Unit, UnitGraph
from tests.builders import a_unet_graph
from tests.strategies import graphs, tables

ALL = (True,) * 11
GRAPHS_WITH_TABLES = graphs().flatmap(lambda g: st.tuples(st.just(g), tables(len(g))))


def reusing(graph: UnitGraph, *names: str) -> Schedule:
    """Return two steps, the second of which reuses the units of these names."""
    return Schedule((ALL, tuple(unit.name not in names for unit in graph.units)))


@pytest.mark.parametrize(
    "rows",
    [(), ((),), ((True, True), (True,)), ((True, False), (True, True))],
    ids=["no steps", "no units", "ragged", "reuse at step 0"],
)
def test_a_table_that_cannot_run_is_refused(rows: tuple[tuple[bool, ...], ...]) -> None:
    with pytest.raises(InvalidSchedule):
        Schedule(rows)


@pytest.mark.parametrize("text", ["", "z", "3..3", "3.-1", "7.1", "3 . x", "1.3"])
def test_text_that_is_no_table_of_two_units_is_refused(text: str) -> None:
    with pytest.raises(InvalidSchedule):
        Schedule.decode(text, units=2)


def test_unit_0_is_the_lowest_bit_of_a_row() -> None:
    schedule = Schedule(((True,) * 5, (True, False, False, False, True)))

    assert schedule.encode() == "1f.11"


def test_a_compute_nobody_reads_is_normalised_away() -> None:
    graph = a_unet_graph()
    lean = reusing(graph, "up.1.entry.1").normalised(graph)

    computed = [unit.name for unit, c in zip(graph.units, lean.computes[1], strict=True) if c]
    assert computed == ["down.0.resnet.0", "up.1.resnet.1"]


def test_work_tells_computed_from_reused_from_dead() -> None:
    graph = a_unet_graph()
    row = reusing(graph, "up.0.upsampler", "up.1.attn.0").work(graph)[1]

    assert row[graph.index("up.0.upsampler")] is Work.REUSED
    assert row[graph.index("up.1.attn.0")] is Work.REUSED
    assert row[graph.index("mid.resnet.0")] is Work.SKIPPED
    assert row[graph.index("up.1.resnet.0")] is Work.COMPUTED


def test_counts_are_of_the_work_that_is_done() -> None:
    graph = a_unet_graph()

    assert reusing(graph, "up.1.entry.1").counts(graph) == Counts(13, 1, 8)


def test_an_empty_row_computes_nothing_and_skips_what_is_dead() -> None:
    graph = a_unet_graph()
    row = work_of((False,) * len(graph), graph)

    assert Work.COMPUTED not in row
    assert row[graph.index("up.1.entry.1")] is Work.REUSED
    assert row[graph.index("up.1.attn.0")] is Work.SKIPPED


def test_the_hit_ratio_is_the_share_not_computed() -> None:
    assert Counts(computed=2, reused=1, skipped=1).hit_ratio == 0.5
    assert Counts().hit_ratio == 0.0


def test_tables_of_other_widths_have_other_digests() -> None:
    two, three = Schedule(((True,) * 2,)), Schedule(((True,) * 3,))

    assert len({two.digest, three.digest, Schedule(((True,) * 2,) * 2).digest}) == 3


def test_a_reuse_names_the_two_last_computed_steps() -> None:
    graph = UnitGraph((Unit("mid.resnet.0", Role.RESNET),), feeds=((),), sinks=(0,))
    schedule = Schedule(((True,), (False,), (True,), (False,), (False,)))

    assert schedule.reuses(graph) == (
        Reuse(step=1, unit=0, source=0, before=None),
        Reuse(step=3, unit=0, source=2, before=0),
        Reuse(step=4, unit=0, source=2, before=0),
    )


@given(GRAPHS_WITH_TABLES)
def test_every_reuse_and_nothing_else_is_listed(case: tuple[UnitGraph, Schedule]) -> None:
    graph, schedule = case
    work = enumerate(schedule.work(graph))
    expected = [(s, u) for s, row in work for u, w in enumerate(row) if w is Work.REUSED]

    assert [(reuse.step, reuse.unit) for reuse in schedule.reuses(graph)] == expected
    assert schedule.normalised(graph).reuses(graph) == schedule.reuses(graph)


@given(GRAPHS_WITH_TABLES)
def test_a_reuse_takes_the_latest_computed_values(case: tuple[UnitGraph, Schedule]) -> None:
    graph, schedule = case
    work = schedule.work(graph)

    for reuse in schedule.reuses(graph):
        computed = [s for s in range(reuse.step) if work[s][reuse.unit] is Work.COMPUTED]
        assert [reuse.before, reuse.source] == [None, *computed][-2:]


@given(GRAPHS_WITH_TABLES)
def test_a_table_survives_its_text_form(case: tuple[UnitGraph, Schedule]) -> None:
    graph, schedule = case

    assert Schedule.decode(schedule.encode(), len(graph)) == schedule


@given(GRAPHS_WITH_TABLES)
def test_normalising_keeps_the_work_and_is_done_once(case: tuple[UnitGraph, Schedule]) -> None:
    graph, schedule = case
    lean = schedule.normalised(graph)

    assert lean.work(graph) == schedule.work(graph)
    assert lean.normalised(graph) == lean


@given(GRAPHS_WITH_TABLES)
def test_counts_add_up_to_steps_times_units(case: tuple[UnitGraph, Schedule]) -> None:
    graph, schedule = case
    counts = schedule.counts(graph)

    assert counts.computed + counts.reused + counts.skipped == schedule.steps * schedule.units


@given(GRAPHS_WITH_TABLES)
def test_nothing_is_reused_before_it_was_computed(case: tuple[UnitGraph, Schedule]) -> None:
    graph, schedule = case

    for column in zip(*schedule.normalised(graph).work(graph), strict=True):
        assert column[0] is Work.COMPUTED
        assert all(
            Work.COMPUTED in column[:s] for s, work in enumerate(column) if work is Work.REUSED
        )
