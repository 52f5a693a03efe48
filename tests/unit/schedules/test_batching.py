"""What runs next: batches that save time, keep every deadline and do not cost quality."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schedules.batching import LATEST_MS, Batch, compose, turn
from schedules.ladder import Ladder
from schedules.sharing import Waiting

# Alone 100, 200, 400 ms; each further picture adds a tenth (GPU) or all of it (CPU).
GPU = Ladder.measured([0.5, 0.8, 1.0], [(m, 1.1 * m, 1.2 * m, 1.3 * m) for m in (100.0, 200, 400)])
CPU = Ladder.measured([0.5, 0.8, 1.0], [(m, 2.0 * m, 3.0 * m, 4.0 * m) for m in (100.0, 200, 400)])

qualities = st.sampled_from([0.5, 0.8, 1])
jobs = st.builds(
    Waiting, st.floats(-100, 3000), st.integers(1, 2), qualities, st.just(0.0), st.none()
)
lines = st.lists(jobs, min_size=1, max_size=6).map(
    lambda line: sorted(line, key=lambda j: j.left_ms)
)


def composed(line: list[Waiting], ladder: Ladder = GPU, **how: bool) -> Batch:
    return compose(line, (), (), ladder, **how)


def test_jobs_with_time_run_together_where_that_saves_time() -> None:
    line = [Waiting(5000.0)] * 3

    assert composed(line).size == 3
    assert composed(line, CPU).size == 1


def test_company_that_would_cost_quality_waits() -> None:
    assert composed([Waiting(420.0), Waiting(5000.0)]).size == 1


def test_under_backlog_a_smaller_plan_for_all_lets_all_be_in_time() -> None:
    line = [Waiting(430.0)] * 6
    batch = composed(line)

    assert batch.size == 4
    assert batch.rung < GPU.top


@given(line=lines)
def test_a_batch_is_in_time_for_each_who_can_be(line: list[Waiting]) -> None:
    batch = composed(line)
    members = line[: batch.size]
    run_ms = GPU.run_ms(batch.rung, sum(job.images for job in members))

    if batch.size > 1 or members[0].can_be_kept(GPU):
        assert run_ms <= members[0].left_ms
        assert sum(job.images for job in members) <= GPU.max_batch


@given(line=lines, others=st.lists(jobs, max_size=4))
def test_more_who_wait_never_raise_what_one_job_gets(
    line: list[Waiting], others: list[Waiting]
) -> None:
    alone = compose(line[:1], (), (), CPU, upgrade=False)
    in_company = compose(line[:1], others, (), CPU, upgrade=False)

    assert in_company.rung <= alone.rung


def test_with_nobody_behind_a_job_may_get_more_than_promised() -> None:
    batch = composed([Waiting(5000.0, quality=0.5)])

    assert (batch.up, batch.rung, batch.limit) == (True, GPU.top, float("inf"))


def test_without_upgrades_a_job_gets_what_it_was_promised() -> None:
    batch = composed([Waiting(5000.0, quality=0.5)], upgrade=False)

    assert (batch.up, batch.rung) == (False, 0)


def test_somebody_of_another_class_behind_prevents_upgrades() -> None:
    batch = compose([Waiting(5000.0, quality=0.5)], [Waiting(9000.0)], (), GPU)

    assert (batch.up, batch.rung) == (False, 0)


def test_those_who_are_expected_limit_an_upgrade() -> None:
    batch = compose([Waiting(5000.0, quality=0.5)], (), [Waiting(450.0)], GPU)

    assert (batch.up, batch.limit) == (True, 0.8)


def test_a_floor_holds_whoever_waits_behind() -> None:
    batch = composed([Waiting(900.0, floor=1.0), Waiting(500.0, quality=0.5)])

    assert batch.rung == GPU.top


def test_more_workers_leave_more_to_each() -> None:
    behind = [Waiting(700.0)] * 4

    assert (
        compose([Waiting(700.0)], behind, (), CPU, 4).rung
        > compose([Waiting(700.0)], behind, (), CPU, 1).rung
    )


def test_who_can_be_in_time_goes_before_who_cannot() -> None:
    assert turn([Waiting(50.0), Waiting(300.0)], GPU) == 1


def test_nobody_is_passed_over_for_ever() -> None:
    assert turn([Waiting(-LATEST_MS - 1), Waiting(300.0)], GPU) == 0


def test_when_all_are_late_the_most_urgent_goes_first() -> None:
    assert turn([Waiting(10.0), Waiting(20.0)], GPU) == 0
