"""Who comes before the rest of a run: only those who gain by it, and never so that it is late."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from schedules.ladder import Ladder
from schedules.pausing import LATE, Underway, ceiling_over, sooner
from schedules.sharing import Crew, Waiting, kept

# Alone 100, 200, 400 ms; each further picture adds a tenth.
LADDER = Ladder.measured(
    [0.5, 0.8, 1.0], [(m, 1.1 * m, 1.2 * m, 1.3 * m) for m in (100.0, 200.0, 400.0)]
)

jobs = st.builds(
    Waiting,
    st.floats(-100, 3000),
    st.integers(1, 6),
    st.sampled_from([0.5, 0.8, 1]),
    st.sampled_from([0, 0, 0.8]),
    st.none(),
)
lines = st.lists(jobs, min_size=1, max_size=6).map(
    lambda line: sorted(line, key=lambda job: job.left_ms)
)
runs = st.builds(Underway.predicted, st.floats(0, 6000), st.floats(1, 3000))


def before(run: Underway, line: list[Waiting]) -> list[Waiting]:
    return [job for job in line if job.left_ms < run.left_ms]


@given(line=lines, others=st.lists(jobs, max_size=3), run=runs)
def test_who_comes_first_is_in_time_and_so_is_the_run(
    line: list[Waiting], others: list[Waiting], run: Underway
) -> None:
    line = before(run, line)
    assume(line)
    batch = sooner(line, others, (), LADDER, run)

    if batch is not None:
        members = line[: batch.size]
        took_ms = LADDER.run_ms(batch.rung, sum(member.images for member in members))
        assert took_ms <= min(member.left_ms for member in members)
        assert took_ms + run.rest_ms <= run.left_ms


@given(line=lines, run=runs)
def test_nobody_comes_first_who_would_get_as_much_after_the_run(
    line: list[Waiting], run: Underway
) -> None:
    line = before(run, line)
    assume(line)
    batch = sooner(line, (), (), LADDER, run)

    if batch is not None:
        members = line[: batch.size]
        images = sum(member.images for member in members)
        left_ms = min(member.left_ms for member in members) - run.predicted_ms * LATE
        assert LADDER.run_ms(batch.rung, images) > left_ms


@given(line=lines, run=runs)
def test_no_batch_that_comes_first_is_larger_than_the_largest(
    line: list[Waiting], run: Underway
) -> None:
    batch = sooner(line, (), (), LADDER, run)

    assert batch is None or sum(job.images for job in line[: batch.size]) <= LADDER.max_batch


@given(line=lines, run=runs)
def test_nobody_who_comes_first_is_made_below_the_own_floor(
    line: list[Waiting], run: Underway
) -> None:
    batch = sooner(line, (), (), LADDER, run)

    if batch is not None:
        assert all(batch.rung >= job.lowest(LADDER) for job in line[: batch.size])


@given(members=lines, rest=st.lists(jobs, max_size=5), workers=st.integers(1, 3))
def test_a_batch_that_others_can_come_before_costs_nobody_who_can_be_kept(
    members: list[Waiting], rest: list[Waiting], workers: int
) -> None:
    rung, images = ceiling_over(members, rest, LADDER, workers), sum(m.images for m in members)
    left_ms = min(member.left_ms for member in members)

    def beside(rung: int) -> frozenset[int]:
        run_ms = min(LADDER.run_ms(rung, images), max(left_ms, LADDER.run_ms(0, images)))
        crew = Crew((0.0, *[run_ms / 2] * (workers - 1)), (1.0,) * workers)
        batch = Underway(left_ms, rest_ms=run_ms)
        return kept([*rest, batch], LADDER, crew, rung) - {len(rest)}

    assert beside(rung) >= beside(0)


def test_a_tight_job_comes_before_the_rest_of_a_loose_run() -> None:
    batch = sooner([Waiting(300.0)], (), (), LADDER, Underway.predicted(2000.0, 900.0))

    assert batch is not None
    assert (batch.size, LADDER.qualities[batch.rung]) == (1, 0.8)


def test_a_run_that_ends_early_enough_is_not_paused() -> None:
    assert sooner([Waiting(900.0)], (), (), LADDER, Underway.predicted(2000.0, 400.0)) is None


def test_a_run_without_slack_is_not_paused() -> None:
    run = Underway.predicted(1000.0, 900.0)

    assert not run.yields(LADDER)
    assert sooner([Waiting(300.0)], (), (), LADDER, run) is None


def test_less_than_asked_for_fits_into_a_small_slack() -> None:
    batch = sooner([Waiting(450.0)], (), (), LADDER, Underway.predicted(1100.0, 900.0))

    assert batch is not None
    assert batch.rung == 0


def test_a_run_takes_the_time_of_a_worker_until_its_deadline() -> None:
    free, run = Crew((0.0,), (1.0,)), Underway(500.0, rest_ms=400.0)
    single = Ladder.measured([0.5, 1.0], [(100.0,), (200.0,)])

    assert kept([run, Waiting(450.0)], single, free, 0) == {0, 1}
    assert kept([run, Waiting(450.0), Waiting(450.0)], single, free, 0) == {1, 2}
    assert kept([run, Waiting(550.0, images=2)], single, free, 0) == {0}


def test_a_batch_need_not_leave_time_for_those_who_can_come_before_it() -> None:
    tight = [Waiting(450.0)]

    assert ceiling_over([Waiting(5000.0)], tight, LADDER) == LADDER.top
