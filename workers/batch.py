"""Run one claimed batch: refit the plan to the time left, make the pictures, say what happened."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.contract.infotext import infotext
from app.contract.jobs import RanPlan, Result, Timing
from schedules.planner import price, remaining_ms
from schedules.recalling import recalled
from schedules.replanning import Aim, best, limited, settle
from schedules.steering import Steering
from workers.encoding import to_file
from workers.errors import ModelError
from workers.graphs import Graphs
from workers.orders import Orders
from workers.pace import Pace, Promise
from workers.previews import Previews, decoded, nobody
from workers.rendering import Rendered, render
from workers.sampler import Frame, Prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from app.contract.jobs import Job, PlanOrder
    from app.contract.ports import Claimed
    from schedules.book import Plan, PlanBook
    from schedules.cost import CostModel
    from schedules.memory import MemoryAccount
    from schedules.planner import Priced
    from schedules.schedule import Schedule
    from schedules.units import UnitGraph
    from workers.colours import Colours
    from workers.correction import Correction
    from workers.lease import Lease
    from workers.pipeline import Model
    from workers.previews import Show
    from workers.rendering import ToFile

    First = Callable[[Pace], Callable[[], None] | None]

# Of the time that plans leave free for a stray, how much is kept free while they run.
STRAY_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Desk:
    """What a worker makes pictures with: a model, its plan book, and its costs as of now.

    `corrections` are by id, in the model's dtype on its device. `aim` is for the batch at hand.
    `graphs` are used by one batch at a time. `render` makes the pictures. `orders` has read the
    latest plans that jobs brought. Previews are drawn by `colours`, where None decoded in full. The
    `memory` of a batch is unknown where None.
    """

    worker: str
    model: Model
    book: PlanBook
    costs: CostModel
    corrections: Mapping[str, Correction] = field(default_factory=dict)
    aim: Aim = field(default_factory=Aim)
    graphs: Graphs = field(default_factory=Graphs)
    render: Callable[..., Rendered] = render
    orders: Orders = field(default_factory=Orders)
    colours: Colours | None = None
    memory: MemoryAccount | None = None

    def correction_of(self, plan: Plan) -> Correction | None:
        """Return the correction a plan names, None when it is not known here or not the plan's."""
        found = self.corrections.get(plan.correction or "")
        return found if found is not None and found.is_for(plan.solver, plan.schedule) else None

    def can_run(self, plan: Plan) -> bool:
        """Return whether a plan runs here as it was measured, with its correction if it has one."""
        return plan.correction is None or self.correction_of(plan) is not None


@dataclass(frozen=True, slots=True)
class Ran:
    """A finished batch: the pictures, the plan that ran, and how far the prediction was off.

    `predicted_ms` is the time promised for it, `tail_ms` the part after it could be steered, 0
    where it was not; `worked_ms` is the time predicted for what it did to keep the promise.
    """

    rendered: Rendered
    plan: RanPlan
    batch_size: int
    predicted_ms: float
    worked_ms: float
    tail_ms: float

    @property
    def error_ratio(self) -> float:
        """Actual ÷ promised time."""
        return self.rendered.total_ms / self.predicted_ms

    @property
    def stray(self) -> float:
        """Actual ÷ promised time of the tail, all before it having been steered to the promise."""
        return 1.0 + (self.rendered.total_ms - self.predicted_ms) / self.tail_ms


def nobody_first(_pace: Pace) -> None:
    """Let nobody come before the next step."""


def run_batch(
    desk: Desk,
    claims: Sequence[Claimed],
    lease: Lease,
    claimed_s: float,
    must_stop: Callable[[], bool],
    show: Show = nobody,
    settled: Priced | None = None,
    first: First = nobody_first,
) -> Ran:
    """Make all pictures of a batch of one class; previews go to `show`, dear ones if there is time.

    `claimed_s` is when the leases were granted, on the monotonic clock. `settled` is what
    `settle_plan` returned for these claims just before, if it was asked. Raises Stopped when nobody
    waits any more or the worker must stop, InvalidSchedule when the plan was made for another UNet.
    Before every step but the first, `first(pace)` returns what has to be done before, None for
    nothing.
    """
    job = leading(claims)
    _check_same_model(job, desk)
    prompts = [prompt for claim in claims for prompt in prompts_of(claim.job)]
    deadline_s = claimed_s + min(claim.left_ms for claim in claims) / 1e3
    ordered = desk.orders.plan_of(job.plan, desk.book)
    left_ms = (deadline_s - time.monotonic()) * 1e3
    priced = settled or _refitted(desk, ordered, left_ms, len(prompts), job)
    decoded_ms = desk.costs.preview_ms * sum(decoded(c.job, desk.colours) for c in claims)
    in_full = priced.predicted_ms + decoded_ms <= left_ms
    steps = priced.plan.steps
    previews = Previews(desk.model, desk.colours, claims, steps, show, in_full=in_full)
    shown_ms, *shown_after_ms = previews.remaining_ms(desk.costs.preview_ms)
    made_after_ms = remaining_ms(priced.plan, desk.book, desk.costs, batch=len(prompts))
    after_ms = [sum(parts) for parts in zip(made_after_ms, shown_after_ms, strict=True)]
    predicted_ms = priced.predicted_ms + shown_ms
    plan, shape = priced.plan, (job.width, job.height, job.guidance_scale)
    # Hurried steps have no measured quality, so a request with a quality floor gets none.
    loose = not job.min_quality
    reserve_ms = STRAY_SHARE * desk.costs.stray_ms(len(prompts))
    promise = Promise(predicted_ms, after_ms, deadline_s, reserve_ms, loose)
    steering = _steering(plan, desk.book.graph, desk.costs, len(prompts))
    pace = Pace(lease, promise, steering, must_stop)
    frame = Frame(*shape, plan.solver, plan.schedule, desk.correction_of(plan))
    writer = _writer(claims, plan)
    how = (pace, previews, writer, desk.graphs, lambda _step: first(pace))
    rendered = desk.render(desk.model, prompts, frame, *how)
    replanned = _work(priced.plan) != _work(ordered)
    steered = pace.hurried_steps, pace.extended_steps
    ran = ran_plan(priced, desk.costs, len(prompts), replanned, *steered)
    tail_ms = desk.costs.at(len(prompts)).tail_ms * desk.costs.drift.median * pace.steers
    return Ran(rendered, ran, len(prompts), predicted_ms, pace.worked_ms, tail_ms)


@recalled(64)
def _steering(plan: Plan, graph: UnitGraph, costs: CostModel, batch: int) -> Steering:
    unit_ms = [ms * costs.drift.median for ms in costs.at(batch).unit_ms]
    return Steering(plan.schedule, graph, unit_ms)


def _writer(claims: Sequence[Claimed], plan: Plan) -> ToFile:
    """Return what writes each picture of a batch as its own job asked."""
    wanted = [(claim.job, seed) for claim in claims for seed in claim.job.seeds]

    def write(row: int, pixels: NDArray[np.uint8]) -> bytes:
        job, seed = wanted[row]
        text = infotext(job, seed, plan.solver, plan.steps, plan.rule)
        return to_file(pixels, job.encoding, text)

    return write


def leading(claims: Sequence[Claimed]) -> Job:
    """Return the job of a batch that was promised the best plan: all are made by what it gets."""
    return max((claim.job for claim in claims), key=lambda job: job.plan.quality)


def settle_plan(desk: Desk, claims: Sequence[Claimed]) -> Priced:
    """Return what a batch will run; raises InvalidSchedule when it is for another UNet."""
    job, images = leading(claims), sum(claim.job.images for claim in claims)
    left_ms = min(claim.left_ms for claim in claims)
    ordered = desk.orders.plan_of(job.plan, desk.book)
    return _refitted(desk, ordered, left_ms, images, job)


def _refitted(desk: Desk, ordered: Plan, left_ms: float, batch: int, job: Job) -> Priced:
    """Return what runs for an order, by a plan the job allows.

    An exact job gets what was ordered. Without its correction a plan would not be as good as
    promised: where that is unknown, the best of this worker's own plans that fits takes its place.
    """
    book, floor = _allowed(desk.book, job), job.min_quality
    if not desk.can_run(ordered):
        return best(left_ms, limited(book, desk.aim.limit, floor), desk.costs, batch, floor)
    if job.exact:
        return price(ordered, desk.costs, batch=batch)
    how = (left_ms, book, desk.costs, desk.aim)
    shown_ms = decoded(job, desk.colours) * desk.costs.preview_ms
    return settle(ordered, *how, batch=batch, min_quality=floor, reserved_ms=shown_ms)


def _allowed(book: PlanBook, job: Job) -> PlanBook:
    """Return the book of the plans a job allows; all of it when it allows none of them."""
    if not job.solvers and job.max_steps is None:
        return book
    plans = [
        plan
        for plan in book.plans
        if (not job.solvers or plan.solver in job.solvers)
        and (job.max_steps is None or plan.steps <= job.max_steps)
    ]
    return book.with_plans(plans) if 0 < len(plans) < len(book.plans) else book


def _work(plan: Plan) -> tuple[str, Schedule, str | None]:
    return plan.solver, plan.schedule, plan.correction


def _check_same_model(job: Job, desk: Desk) -> None:
    made_for = (job.revision, job.width, job.height)
    if made_for != (desk.model.revision, desk.book.width, desk.book.height):
        raise ModelError("the job is for other weights or another size than this worker has")


def prompts_of(job: Job) -> list[Prompt]:
    """Return one prompt a picture. An empty negative prompt is none at all."""
    return [Prompt(job.prompt, job.negative_prompt or None, seed) for seed in job.seeds]


def ran_plan(
    priced: Priced,
    costs: CostModel,
    batch: int,
    replanned: bool,
    hurried_steps: int = 0,
    extended_steps: int = 0,
) -> RanPlan:
    """Describe the plan that ran."""
    plan = priced.plan
    return RanPlan(
        solver=plan.solver,
        rule=plan.rule,
        steps=plan.steps,
        correction=plan.correction,
        compute_fraction=round(costs.at(batch).compute_fraction(plan.steps, plan.unit_runs), 4),
        predicted_ms=round(priced.predicted_ms, 2),
        metric=plan.quality.metric,
        quality=plan.quality.value,
        replanned=replanned,
        hurried_steps=hurried_steps,
        extended_steps=extended_steps,
    )


def results(
    desk: Desk, claims: Sequence[Claimed], ran: Ran, since_claim_ms: Callable[[], float]
) -> list[tuple[Claimed, Result, tuple[bytes, ...]]]:
    """Return each claim with its result and its own pictures. Counts are those of the batch."""
    parts, first = [], 0
    for claim in claims:
        images = ran.rendered.images[first : first + claim.job.images]
        first += claim.job.images
        parts.append((claim, _result(desk, claim, ran, since_claim_ms()), images))
    return parts


def _told(order: PlanOrder, ran: RanPlan) -> RanPlan:
    """Return the plan that ran as one job is told: it may have been promised another."""
    promised = (order.solver, order.rule, order.steps, order.correction)
    same = promised == (ran.solver, ran.rule, ran.steps, ran.correction)
    return ran if same else ran.copy(replanned=True)


def _result(desk: Desk, claim: Claimed, ran: Ran, since_claim_ms: float) -> Result:
    made = ran.rendered
    return Result(
        job_id=claim.job.id,
        worker=desk.worker,
        seeds=claim.job.seeds,
        plan=_told(claim.job.plan, ran.plan),
        timing=Timing(
            queue_ms=round(claim.waited_ms + made.paused_ms, 2),
            encode_ms=round(made.encode_ms, 2),
            denoise_ms=round(made.denoise_ms, 2),
            decode_ms=round(made.decode_ms, 2),
            png_ms=round(made.png_ms, 2),
            total_ms=round(claim.waited_ms + since_claim_ms, 2),
        ),
        cache=made.counts,
        batch_size=ran.batch_size,
    )
