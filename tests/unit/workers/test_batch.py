from __future__ import annotations

import time
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from app.contract.infotext import infotext
from app.contract.jobs import Encoding
from app.contract.ports import Claimed
from schedules.cost import CostModel, StageCosts
from schedules.errors import InvalidSchedule
from schedules.planner import price
from schedules.replanning import Aim
from tests.builders import a_plan_order
from tests.corrections import a_correction
from tests.rendering import a_frame
from tests.tiny_books import book_for, costs_for, job_for
from workers.batch import Desk, Ran, prompts_of, results, run_batch, settle_plan
from workers.errors import Stopped
from workers.lease import Lease
from workers.orders import ordered_plan
from workers.previews import nobody

if TYPE_CHECKING:
    from app.contract.jobs import Job
    from schedules.book import Plan
    from workers.pipeline import Model
    from workers.previews import Show

MINUTE_MS = 60_000.0


class NoQueue:
    """Stands where a lease that is never kept has its queue."""


@pytest.fixture
def desk(tiny: Model) -> Desk:
    return Desk("worker-1", tiny, book_for(tiny), costs_for(tiny))


def claimed(job: Job, left_ms: float = MINUTE_MS, waited_ms: float = 5.0) -> Claimed:
    return Claimed(job, token=1, left_ms=left_ms, waited_ms=waited_ms, attempt=1)


def ran(desk: Desk, *claims: Claimed, must_stop: bool = False, show: Show = nobody) -> Ran:
    queue: Any = NoQueue()
    lease = Lease(queue, claims, stall_s=60.0)
    return run_batch(desk, claims, lease, time.monotonic(), lambda: must_stop, show)


def pixels(png: bytes) -> np.ndarray:
    return np.array(Image.open(BytesIO(png))).astype(int)


def test_with_enough_time_the_ordered_plan_runs(desk: Desk) -> None:
    ordered = desk.book.plans[1]
    made = ran(desk, claimed(job_for(desk.model, ordered)))

    assert (made.plan.rule, made.plan.steps, made.plan.replanned) == ("uniform-2", 4, False)
    assert made.plan.quality == ordered.quality.value
    assert made.rendered.counts == ordered.counts


def test_when_time_is_short_a_cheaper_plan_runs_and_says_so(desk: Desk, tiny: Model) -> None:
    slow = Desk(desk.worker, tiny, desk.book, costs_for(tiny, unit_ms=1000.0))
    made = ran(slow, claimed(job_for(tiny, desk.book.plans[0]), left_ms=10_000.0))

    assert (made.plan.rule, made.plan.steps) == ("deepcache-2", 2)
    assert made.plan.replanned
    assert made.plan.quality == 0.5


def test_the_tightest_deadline_of_a_batch_decides(desk: Desk, tiny: Model) -> None:
    slow = Desk(desk.worker, tiny, desk.book, costs_for(tiny, unit_ms=10.0))
    job = job_for(tiny, desk.book.plans[0])
    made = ran(slow, claimed(job, left_ms=1e9), claimed(job, left_ms=1.0))

    assert made.plan.rule == "deepcache-2"


def test_a_run_that_falls_behind_is_hurried_and_says_so(desk: Desk, tiny: Model) -> None:
    slow = Desk(desk.worker, tiny, desk.book, costs_for(tiny, unit_ms=1000.0))
    made = ran(slow, claimed(job_for(tiny, desk.book.plans[2]), left_ms=0.0))

    assert made.plan.hurried_steps == 1
    assert made.worked_ms < made.predicted_ms


def test_a_plan_for_another_unet_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidSchedule, match="for 5 units, this model has 21"):
        ordered_plan(a_plan_order(), desk.book)


def corrected(desk: Desk) -> tuple[Desk, Plan]:
    """Return a desk whose second plan has a correction that it knows, and that plan."""
    first, plan, *rest = desk.book.plans
    frame = a_frame(desk.model, plan.schedule)
    correction = a_correction(desk.model, frame)
    plan = replace(plan, correction=correction.id)
    book = desk.book.with_plans((first, plan, *rest))
    return replace(desk, book=book, corrections={correction.id: correction}), plan


def test_an_ordered_correction_is_applied_and_named(desk: Desk) -> None:
    knowing, plan = corrected(desk)
    made = ran(knowing, claimed(job_for(desk.model, plan)))
    plain = ran(desk, claimed(job_for(desk.model, desk.book.plans[1])))

    assert (made.plan.correction, made.plan.replanned) == (plan.correction, False)
    assert made.rendered.images != plain.rendered.images


def test_pictures_are_written_as_each_job_asks_and_tell_how_they_were_made(desk: Desk) -> None:
    plan = desk.book.plans[0]
    jobs = [
        job_for(desk.model, plan, seeds=(5,), prompt="a fox"),
        job_for(desk.model, plan, encoding=Encoding("webp")),
    ]
    made = ran(desk, *(claimed(job) for job in jobs))
    first, second = (Image.open(BytesIO(file)) for file in made.rendered.images)

    assert (first.format, second.format) == ("PNG", "WEBP")
    assert first.info["parameters"] == infotext(jobs[0], 5, plan.solver, plan.steps, plan.rule)


def test_previews_are_shown_and_their_time_is_predicted(desk: Desk, tiny: Model) -> None:
    slow = replace(desk, costs=CostModel(((1, StageCosts(0, 0, 0, (0.01,) * 21, 4, 1)),)))
    job = job_for(tiny, desk.book.plans[0], previews=2, full_previews=True)
    shown: list[int] = []
    made = ran(slow, claimed(job), show=lambda _claim, number, _picture: shown.append(number))

    assert shown == [0, 1]
    assert made.predicted_ms - made.plan.predicted_ms == pytest.approx(10.0, abs=0.01)


def test_without_time_for_previews_none_are_shown(desk: Desk, tiny: Model) -> None:
    slow = replace(desk, costs=CostModel(((1, StageCosts(0, 0, 0, (0.01,) * 21, 9e9, 0)),)))
    job = job_for(tiny, desk.book.plans[0], previews=2, full_previews=True)
    shown: list[int] = []
    ran(slow, claimed(job), show=lambda _claim, number, _picture: shown.append(number))

    assert shown == []


def test_where_a_correction_is_unknown_the_best_known_plan_runs_and_says_so(desk: Desk) -> None:
    _, plan = corrected(desk)
    made = ran(desk, claimed(job_for(desk.model, plan)))
    best = desk.book.plans[0]

    assert (made.plan.correction, made.plan.replanned) == (None, True)
    assert (made.plan.rule, made.plan.quality) == (best.rule, best.quality.value)


def test_where_a_correction_is_unknown_the_time_left_still_counts(desk: Desk, tiny: Model) -> None:
    _, plan = corrected(desk)
    slow = replace(desk, costs=costs_for(tiny, unit_ms=1000.0))

    made = ran(slow, claimed(job_for(tiny, plan), left_ms=10_000.0))

    assert made.plan.rule == "deepcache-2"


def test_the_correction_of_another_schedule_is_not_applied(desk: Desk) -> None:
    knowing, plan = corrected(desk)
    other = replace(desk.book.plans[2], correction=plan.correction)
    made = ran(knowing, claimed(job_for(desk.model, other)))

    assert made.plan.rule == desk.book.plans[0].rule
    assert made.plan.replanned


def test_a_batch_stops_when_the_worker_must(desk: Desk) -> None:
    job = job_for(desk.model, desk.book.plans[0])

    with pytest.raises(Stopped):
        ran(desk, claimed(job), must_stop=True)


def test_every_picture_of_a_batch_goes_to_its_own_job(desk: Desk) -> None:
    plan = desk.book.plans[0]
    jobs = [job_for(desk.model, plan, seeds=seeds) for seeds in ((1, 2), (3,))]
    claims = [claimed(job) for job in jobs]
    made = ran(desk, *claims)
    rows = results(desk, claims, made, lambda: 0.0)

    assert [len(images) for _, _, images in rows] == [2, 1]
    assert [result.seeds for _, result, _ in rows] == [(1, 2), (3,)]
    assert [image for _, _, images in rows for image in images] == list(made.rendered.images)


def test_a_result_tells_what_really_happened(desk: Desk) -> None:
    claim = claimed(job_for(desk.model, desk.book.plans[1]), waited_ms=7.0)
    made = ran(desk, claim)
    ((_, result, _),) = results(desk, [claim], made, lambda: 100.0)

    assert (result.job_id, result.worker, result.batch_size) == (claim.job.id, "worker-1", 1)
    assert (result.timing.queue_ms, result.timing.total_ms) == (7.0, 107.0)
    assert result.timing.making_ms == pytest.approx(made.rendered.total_ms, abs=0.05)
    assert result.cache == desk.book.plans[1].counts


def test_the_compute_fraction_is_that_of_the_plan_that_ran(desk: Desk) -> None:
    full = ran(desk, claimed(job_for(desk.model, desk.book.plans[0])))
    half = ran(desk, claimed(job_for(desk.model, desk.book.plans[1])))

    assert full.plan.compute_fraction == 1.0
    assert half.plan.compute_fraction < 1.0


def test_predictions_are_compared_with_the_time_it_took(desk: Desk) -> None:
    made = ran(desk, claimed(job_for(desk.model, desk.book.plans[0])))

    assert made.error_ratio == pytest.approx(made.rendered.total_ms / made.predicted_ms)
    assert made.worked_ms == made.predicted_ms  # all of the plan ran, and nothing else


def test_a_run_that_is_early_computes_more_and_says_so(desk: Desk, tiny: Model) -> None:
    slow = Desk(desk.worker, tiny, desk.book, costs_for(tiny, unit_ms=1000.0))
    plan = desk.book.plans[1]
    left_ms = 1.5 * price(plan, slow.costs).predicted_ms
    made = ran(slow, claimed(job_for(tiny, plan), left_ms=left_ms))

    assert (made.plan.extended_steps, made.plan.replanned) == (2, False)
    assert made.rendered.counts.computed > plan.counts.computed
    assert made.worked_ms > made.predicted_ms


def test_the_tail_of_a_steered_run_tells_how_far_it_strayed(desk: Desk) -> None:
    plan = desk.book.plans[0]
    free = ran(desk, claimed(job_for(desk.model, plan)))
    bound = ran(desk, claimed(job_for(desk.model, plan), left_ms=1.0))

    assert free.tail_ms == 0.0
    assert bound.tail_ms > 0.0
    late_ms = bound.rendered.total_ms - bound.predicted_ms
    assert bound.stray == pytest.approx(1.0 + late_ms / bound.tail_ms)


def test_an_empty_negative_prompt_is_none_at_all(tiny: Model) -> None:
    plan = book_for(tiny).plans[0]

    assert prompts_of(job_for(tiny, plan, negative_prompt=""))[0].negative is None
    assert prompts_of(job_for(tiny, plan, negative_prompt="red"))[0].negative == "red"


def test_an_aim_steps_the_ordered_plan_down_and_says_so(desk: Desk) -> None:
    strict = replace(desk, aim=Aim(limit=0.9))
    made = ran(strict, claimed(job_for(desk.model, desk.book.plans[0])))

    assert (made.plan.rule, made.plan.replanned) == ("uniform-2", True)


@pytest.mark.parametrize("aim", [Aim(limit=0.9), Aim(up=True)])
def test_an_exact_job_is_made_by_the_ordered_plan_whatever_the_aim(desk: Desk, aim: Aim) -> None:
    plan = desk.book.plans[1]
    made = ran(replace(desk, aim=aim), claimed(job_for(desk.model, plan, exact=True)))

    assert (made.plan.rule, made.plan.replanned) == (plan.rule, False)


def test_jobs_promised_different_plans_run_by_the_best_of_them(desk: Desk) -> None:
    claims = [claimed(job_for(desk.model, plan)) for plan in desk.book.plans[1:]]
    made = ran(desk, *claims)
    told = [result.plan.replanned for _, result, _ in results(desk, claims, made, lambda: 1.0)]

    assert made.plan.rule == "uniform-2"
    assert told == [False, True]


def test_a_plan_in_place_of_the_ordered_one_is_one_the_job_allows(desk: Desk) -> None:
    job = job_for(desk.model, desk.book.plans[2], max_steps=2)
    made = ran(replace(desk, aim=Aim(up=True)), claimed(job))

    assert made.plan.steps == 2


def test_going_up_leaves_time_for_the_previews_that_were_asked_for(desk: Desk) -> None:
    plain, shown = (job_for(desk.model, desk.book.plans[1], previews=n) for n in (0, 2))
    stages = replace(desk.costs.at(1), decode_ms=100.0)
    slow = replace(desk, costs=CostModel(((1, stages),)), aim=Aim(up=True))

    assert [
        settle_plan(slow, [claimed(job, left_ms=250.0)]).predicted_ms for job in (plain, shown)
    ] == [pytest.approx(price(plan, slow.costs).predicted_ms) for plan in desk.book.plans[:2]]
