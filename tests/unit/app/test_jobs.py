"""What a job promises of the plan it is made by."""

from __future__ import annotations

from tests.builders import a_job, a_plan_order


def test_exact_jobs_run_together_only_by_the_same_plan() -> None:
    plans = [a_plan_order(steps=steps) for steps in (4, 4, 8)]
    same, alike, other = [a_job(plan=plan, exact=True).batch_class for plan in plans]

    assert same == alike != other
    assert a_job(plan=plans[0]).batch_class == a_job(plan=plans[2]).batch_class != same


def test_an_exact_job_gives_up_none_of_its_quality() -> None:
    order = a_plan_order()

    assert a_job(plan=order, exact=True, min_quality=0.1).floor == order.quality
    assert a_job(plan=order, min_quality=0.1).floor == 0.1
