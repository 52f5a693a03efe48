"""One prompt and seed by several plans, to be looked at side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app import answers, schemas
from app.comparing import compared
from app.contract.errors import ContractError
from app.errors import FieldError, InvalidRequest
from app.plan_routes import PlanTableBody, table_of
from app.routes import REFUSALS, Needs, ReadTimeout, Serving, body, picture_request, signed
from app.settings import MAX_BUDGET_MS
from app.stages import Accepted, order
from schedules.planner import Choice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.service import Service
    from app.stages import Decision, PictureRequest
    from schedules.planner import Priced

# Nothing may be hurried: each job gets many times what all will take.
AMPLE = 4
AMPLE_MS = 10_000.0

router = APIRouter()


class ComparisonRequest(schemas.PlanRequest):
    """What is to be compared: the budget says how much time the cached plan may take."""

    prompt: schemas.Prompt
    negative_prompt: schemas.Text = ""
    guidance_scale: schemas.Guidance = None
    seed: schemas.Seed = None


class ContestantBody(schemas.Message):
    """One of the jobs: by what means, by which plan, and where it is."""

    method: str
    location: str
    plan: schemas.PricedPlanBody
    table: PlanTableBody


class ComparisonBody(schemas.Message):
    """The jobs of a comparison, all of the same seed, the cached one first."""

    seed: int
    jobs: list[ContestantBody]


@router.post(
    "/comparisons",
    dependencies=Needs,
    responses=REFUSALS,
    response_model=ComparisonBody,
    status_code=202,
)
async def compare(
    request: Request,
    wish: ComparisonRequest,
    service: Serving,
    read_timeout_s: ReadTimeout = "",
) -> Response:
    """Accept one job a plan: the best cached one in the budget, and what else its time buys."""
    asked = signed(picture_request(wish, service, read_timeout_s), wish, request)
    if asked.num_images > 1:
        raise InvalidRequest([FieldError("num_images", "must be 1 in a comparison")])
    decision = await service.decide(asked)
    card, book = decision.admit.card, decision.offer.book
    plans = compared(decision.admit.choice.picked, book, card.costs)
    accepted = await _submit(service, asked, decision, list(plans.values()))
    jobs = [
        _contestant(method, priced, job, decision)
        for (method, priced), job in zip(plans.items(), accepted, strict=True)
    ]
    return body(ComparisonBody(seed=accepted[0].order.seeds[0], jobs=jobs), 202)


async def _submit(
    service: Service, asked: PictureRequest, decision: Decision, plans: Sequence[Priced]
) -> list[Accepted]:
    """Put one job a plan into the queue, all of them or none."""
    seed = service.random_seed() if asked.seed is None else asked.seed
    ample_ms = AMPLE * (AMPLE_MS + decision.admit.wait_ms + sum(p.predicted_ms for p in plans))
    alike = asked.copy(seed=seed, budget_ms=min(ample_ms, MAX_BUDGET_MS), exact=True)
    accepted: list[Accepted] = []
    try:
        for priced in plans:
            one = await _put(service, alike, _with_plan(decision, priced))
            accepted.append(one)
    except ContractError:
        for other in accepted:
            service.leave(other)
        raise
    for each in accepted:
        service.watch(each)
    return accepted


async def _put(service: Service, asked: PictureRequest, decision: Decision) -> Accepted:
    job = order(asked, decision, service.settings.guidance_scale, service.random_seed)
    started_s, most = service.clock(), asked.concurrent_jobs
    deadline_unix_ms = await service.queue.submit(job, asked.budget_ms, most_live=most)
    return Accepted(job, asked.budget_ms, deadline_unix_ms - asked.budget_ms, started_s)


def _with_plan(decision: Decision, priced: Priced) -> Decision:
    admit = decision.admit.copy(choice=Choice(priced, (), None, priced))
    return decision.copy(admit=admit, previews=0)


def _contestant(
    method: str, priced: Priced, accepted: Accepted, decision: Decision
) -> ContestantBody:
    return ContestantBody(
        method=method,
        location=f"/jobs/{accepted.job.id}",
        plan=answers.priced(priced, decision.admit.card),
        table=table_of(priced.plan, decision.offer.book),
    )
