"""From what happened to the bodies that say so."""

from __future__ import annotations

from base64 import b64encode
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from app import schemas
from app.admission import Ask, minimum_ms, slowest
from app.capacity import uncached
from app.contract.jobs import Failure, Result, Timing
from app.tariffs import Tariff
from schedules.planner import price
from schedules.schedule import Counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.cards import WorkerCard
    from app.contract.jobs import RanPlan
    from app.contract.ports import JobStatus
    from app.fleet import Fleet, Offer
    from app.stages import Decision, Made
    from schedules.planner import Priced

STAGES = ("queue", "encode", "denoise", "decode", "png", "total")
SERVER_TIMING = ", ".join(f"{stage};dur={{}}" for stage in STAGES)
TIMES_MS = attrgetter(*Timing.__struct_fields__)


def made(answer: Made) -> schemas.GenerateResponse:
    """Describe a finished job, with its pictures where they were fetched."""
    return schemas.GenerateResponse.model_validate(_made(answer))


def written(answer: Made) -> bytes:
    """Return what `made` describes as it travels, without checking it."""
    return to_json(_made(answer))


def job(status: JobStatus) -> schemas.JobBody:
    """Describe where a job is; its budget is the time the queue was given for it."""
    return schemas.JobBody(
        id=status.id,
        state=status.state.value,
        attempt=status.attempt,
        step=status.step,
        steps=status.steps,
        position=status.position,
        created=status.created_unix_ms // 1000,
        deadline_unix_ms=status.deadline_unix_ms,
        result=_finished(status, status.outcome) if isinstance(status.outcome, Result) else None,
        failure=_failure(status.outcome) if isinstance(status.outcome, Failure) else None,
    )


def plan(decision: Decision, budget_ms: float, images: int) -> schemas.PlanResponse:
    """Describe the plan that would be picked now."""
    admit, book = decision.admit, decision.offer.book
    choice, better = admit.choice, admit.choice.next_better
    return schemas.PlanResponse(
        model=book.model,
        width=book.width,
        height=book.height,
        latency_budget_ms=budget_ms,
        expected_wait_ms=_rounded(admit.wait_ms),
        overhead_ms=_rounded(decision.overhead_ms),
        minimum_latency_ms=admit.minimum_ms,
        picked=priced(choice.picked, admit.card, images),
        runners_up=[priced(other, admit.card, images) for other in choice.runners_up],
        next_better=priced(better, admit.card, images) if better else None,
    )


def priced(offered: Priced, card: WorkerCard, images: int = 1) -> schemas.PricedPlanBody:
    """Describe a plan on offer."""
    plan = offered.plan
    costs = card.costs.at(images)
    return schemas.PricedPlanBody(
        name=plan.name,
        solver=plan.solver,
        steps=plan.steps,
        schedule=plan.rule,
        correction=plan.correction,
        compute_fraction=round(costs.compute_fraction(plan.steps, plan.unit_runs), 4),
        predicted_ms=_rounded(offered.predicted_ms),
        p95_ms=_rounded(offered.p95_ms),
        quality=schemas.QualityBody(metric=plan.quality.metric, value=plan.quality.value),
    )


def plans(fleet: Fleet, overhead_ms: float) -> schemas.PlansResponse:
    """Describe what every model and size offers, priced on the slowest worker that runs it."""
    return schemas.PlansResponse(
        frontiers=[_frontier(offer, overhead_ms) for offer in fleet.offers]
    )


def models(fleet: Fleet) -> schemas.ModelsResponse:
    """Describe the models of the live fleet."""
    return schemas.ModelsResponse(models=[_model(fleet.of_model(name)) for name in fleet.models])


def server_timing(timing: Timing) -> str:
    """Return the Server-Timing header of a finished job."""
    return SERVER_TIMING.format(*map(_rounded, TIMES_MS(timing)))


def _made(answer: Made) -> dict[str, Any]:
    accepted = answer.accepted
    encoded = [b64encode(image).decode("ascii") for image in answer.images]
    budget = {"requested_ms": accepted.budget_ms, "met": answer.met}
    created_s = int(accepted.created_unix_ms // 1000)
    return _result(answer.result, accepted.job.model, created_s, budget, encoded)


def _finished(status: JobStatus, result: Result) -> schemas.GenerateResponse:
    given_ms = float(status.deadline_unix_ms - status.created_unix_ms)
    budget = {"requested_ms": given_ms, "met": result.timing.total_ms <= given_ms}
    fields = _result(result, status.model, status.created_unix_ms // 1000, budget, [])
    return schemas.GenerateResponse.model_validate(fields)


def _result(
    result: Result, model: str, created_s: int, budget: dict[str, Any], encoded: list[str]
) -> dict[str, Any]:
    """Return the members of a GenerateResponse, in its order."""
    timing = dict(
        zip(Timing.__struct_fields__, map(_rounded, TIMES_MS(result.timing)), strict=True)
    )
    counts = {name: getattr(result.cache, name) for name in Counts.__slots__}
    return {
        "id": result.job_id,
        "created": created_s,
        "model": model,
        "images": _images(result, encoded),
        "plan": _ran(result.plan),
        "timing": timing,
        "budget": budget,
        "cache": {**counts, "hit_ratio": round(result.cache.hit_ratio, 4)},
        "batch_size": result.batch_size,
        "worker": result.worker,
    }


def _images(result: Result, encoded: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            "b64_json": encoded[n] if encoded else None,
            "url": f"/jobs/{result.job_id}/images/{n}",
            "seed": seed,
        }
        for n, seed in enumerate(result.seeds)
    ]


def _ran(plan: RanPlan) -> dict[str, Any]:
    return {
        "solver": plan.solver,
        "steps": plan.steps,
        "schedule": plan.rule,
        "correction": plan.correction,
        "compute_fraction": round(plan.compute_fraction, 4),
        "predicted_ms": _rounded(plan.predicted_ms),
        "quality": {"metric": plan.metric, "value": plan.quality},
        "replanned": plan.replanned,
        "hurried_steps": plan.hurried_steps,
        "extended_steps": plan.extended_steps,
    }


def _failure(failure: Failure) -> schemas.FailureBody:
    return schemas.FailureBody(reason=failure.reason.value, detail=failure.detail)


def _frontier(offer: Offer, overhead_ms: float) -> schemas.FrontierBody:
    tariff = slowest([Tariff(offer.book, card) for card in offer.cards])
    card = tariff.card
    frontier = offer.book.frontier(card.costs)
    capacity = uncached(offer.cards, len(offer.book.graph))
    return schemas.FrontierBody(
        model=offer.model,
        width=offer.size[0],
        height=offer.size[1],
        workers=len(offer.cards),
        minimum_latency_ms=minimum_ms(Ask(0.0), tariff, overhead_ms),
        preview_ms=_rounded(max(card.costs.preview_ms for card in offer.cards)),
        uncached=schemas.CapacityBody(
            steps=capacity.steps,
            predicted_ms=_rounded(capacity.predicted_ms),
            images_per_s=round(capacity.images_per_s, 4),
        ),
        plans=[priced(price(plan, card.costs), card) for plan in frontier],
    )


def _model(offers: Sequence[Offer]) -> schemas.ModelBody:
    books = [offer.book for offer in offers]
    return schemas.ModelBody(
        id=books[0].model,
        revision=books[0].revision,
        sizes=[f"{book.width}x{book.height}" for book in books],
        workers=len({card.worker for offer in offers for card in offer.cards}),
        quality_metric=books[0].metric,
        best_quality=max(plan.quality.value for book in books for plan in book.plans),
    )


def _rounded(ms: float) -> float:
    return round(ms, 3)
