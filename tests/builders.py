"""Small valid messages for tests: name only what the test is about, the rest has a default."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from app.contract.cards import WorkerCard
from app.contract.jobs import Job, PlanOrder, RanPlan, Result, Timing
from app.contract.lanes import Lane
from schedules.book import Plan, PlanBook, Quality
from schedules.cost import CostModel, StageCosts
from schedules.rules import all_compute, deepcache, uniform
from schedules.schedule import Counts
from schedules.units import Role, Unit, UnitGraph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.ports import Claimed

METRIC = "psnr"
PNG = b"\x89PNG\r\n\x1a\n"
_numbers = count(1)


def a_graph() -> UnitGraph:
    """Return a UNet of five units with one place where DeepCache can cut."""
    units = (
        Unit("down.0.resnet.0", Role.RESNET),
        Unit("down.0.attn.0", Role.TRANSFORMER),
        Unit("mid.attn.0", Role.TRANSFORMER),
        Unit("up.0.entry", Role.ENTRY),
        Unit("up.0.attn.0", Role.TRANSFORMER),
    )
    return UnitGraph(units, feeds=((), (0,), (1,), (2,), (0, 3)), sinks=(4,))


def a_unet_graph() -> UnitGraph:
    """Return a UNet of two levels with skips and with three places where DeepCache can cut."""
    units = (
        Unit("down.0.resnet.0", Role.RESNET),
        Unit("down.0.attn.0", Role.TRANSFORMER),
        Unit("down.0.downsampler", Role.SAMPLER),
        Unit("mid.resnet.0", Role.RESNET),
        Unit("up.0.entry.0", Role.ENTRY),
        Unit("up.0.resnet.0", Role.RESNET),
        Unit("up.0.upsampler", Role.SAMPLER),
        Unit("up.1.resnet.0", Role.RESNET),
        Unit("up.1.attn.0", Role.TRANSFORMER),
        Unit("up.1.entry.1", Role.ENTRY),
        Unit("up.1.resnet.1", Role.RESNET),
    )
    feeds = ((), (0,), (1,), (2,), (3,), (2, 4), (5,), (1, 6), (7,), (8,), (0, 9))
    return UnitGraph(units, feeds, sinks=(10,))


def costs(*, step_ms: float = 10.0, batches: Sequence[int] = (1, 4)) -> CostModel:
    """Return a cost model: a full step of one image takes `step_ms`, a batch of b 0.5 + 0.5·b."""

    def stage(batch: int) -> StageCosts:
        scale = step_ms * (0.5 + 0.5 * batch)
        share = 0.9 * scale / len(a_graph())
        return StageCosts(
            scale / 10, 0.0, scale / 10, (share,) * len(a_graph()), scale / 10, scale / 10
        )

    return CostModel(tuple((batch, stage(batch)) for batch in batches))


def a_book(model: str = "emoji", revision: str = "r1", size: int = 64) -> PlanBook:
    """Return a plan book of three plans: uncached, every second step, and a fast short one."""
    graph = a_graph()
    plans = (
        Plan.of("dpmpp_2m", "full", all_compute(8, graph), graph, Quality(METRIC, 1.0)),
        Plan.of("dpmpp_2m", "uniform-2", uniform(8, graph, 2), graph, Quality(METRIC, 0.9)),
        Plan.of("dpmpp_2m", "deepcache-2", deepcache(4, graph, 2), graph, Quality(METRIC, 0.6)),
    )
    return PlanBook(model, revision, size, size, METRIC, graph, plans)


def a_lane(model: str = "emoji", size: int = 64) -> Lane:
    """Return where jobs like `a_job` wait."""
    return Lane(model, size, size)


def a_plan_order(*, predicted_ms: float = 100.0, rule: str = "full", steps: int = 4) -> PlanOrder:
    """Return an ordered plan that computes everything."""
    table = all_compute(steps, a_graph())
    return PlanOrder(
        solver="dpmpp_2m",
        rule=rule,
        steps=steps,
        units=table.units,
        table=table.encode(),
        correction=None,
        predicted_ms=predicted_ms,
        metric=METRIC,
        quality=1.0,
    )


def a_job(
    job_id: str | None = None,
    *,
    predicted_ms: float = 100.0,
    images: int = 1,
    steps: int = 4,
    **changes: Any,
) -> Job:
    """Return a job; jobs built with other `steps`, `guidance_scale` or `model` differ in class."""
    fields: dict[str, Any] = {
        "model": "emoji",
        "revision": "r1",
        "prompt": "a smiling cat",
        "negative_prompt": "",
        "seeds": tuple(range(images)),
        "width": 64,
        "height": 64,
        "guidance_scale": 5.0,
        "plan": a_plan_order(predicted_ms=predicted_ms, steps=steps),
    }
    return Job(id=job_id or f"job-{next(_numbers)}", **{**fields, **changes})


def a_result(job: Job | Claimed, worker: str = "worker-1", **changes: Any) -> Result:
    """Return the result of a job that ran as ordered."""
    ran = job if isinstance(job, Job) else job.job
    plan = ran.plan
    fields: dict[str, Any] = {
        "seeds": ran.seeds,
        "plan": RanPlan(
            plan.solver, plan.rule, plan.steps, plan.correction, 1.0, plan.predicted_ms,
            plan.metric, plan.quality, replanned=False,
        ),
        "timing": Timing(1.0, 2.0, 80.0, 5.0, 2.0, 90.0),
        "cache": Counts(computed=plan.steps * plan.units),
        "batch_size": 1,
    }  # fmt: skip
    return Result(job_id=ran.id, worker=worker, **{**fields, **changes})


def some_images(job: Job | Claimed) -> list[bytes]:
    """Return one distinct stand-in PNG for each seed of the job."""
    ran = job if isinstance(job, Job) else job.job
    return [PNG + f"{ran.id}/{seed}".encode() for seed in ran.seeds]


def a_card(worker: str = "worker-1", **changes: Any) -> WorkerCard:
    """Return the card of a ready worker that serves `a_book`."""
    fields: dict[str, Any] = {
        "model": "emoji",
        "revision": "r1",
        "width": 64,
        "height": 64,
        "device": "cpu",
        "dtype": "float32",
        "book": a_book().digest,
        "costs": costs(),
        "max_batch": 4,
        "ready": True,
    }
    return WorkerCard(worker=worker, **{**fields, **changes})
