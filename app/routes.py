"""Addresses of the gateway: each turns HTTP into one use case and its outcome back into HTTP."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response
from pydantic import BaseModel

from app import answers, idempotency, schemas
from app.errors import (
    FieldError,
    InvalidRequest,
    NotAcceptable,
    NoWorkers,
    UnknownImage,
    UnknownJob,
    UnsupportedType,
)
from app.formats import LOSSLESS, MEDIA_TYPES, OFFERS, encoding, media_type
from app.gauges import measure
from app.guard import caller_of
from app.negotiation import JSON, choose_type, patience_ms, wait_s, wants_async
from app.refusals import refuse_webhook
from app.service import Service
from app.settings import MAX_BUDGET_MS
from app.stages import Accepted, Made, PictureRequest

if TYPE_CHECKING:
    from app.contract.jobs import Encoding

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PROBLEM = schemas.openapi_problem()
REFUSALS: dict[int | str, dict[str, Any]] = dict.fromkeys(
    (401, 406, 413, 415, 422, 429, 503, 504), PROBLEM
)

HTTP_FIELDS = {
    *("latency_budget_ms", "response_format"),
    *("output_format", "output_quality", "embed_metadata"),
}
IMAGE_INDEX = re.compile(r"[0-9]{1,2}", re.ASCII)
JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

router = APIRouter()  # with async dependencies: FastAPI gives any other to a thread


async def service_of(request: Request) -> Service:
    """Return the service this application was built with."""
    service = request.app.state.service
    if not isinstance(service, Service):
        raise TypeError(f"the application has no service but {service!r}")
    return service


async def require_json(request: Request) -> None:
    """Refuse a body that does not say it is JSON; curl -d alone does not."""
    name = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if name != JSON and not name.endswith("+json"):
        raise UnsupportedType(
            "Send the body as JSON, with the header Content-Type: application/json."
        )


Serving = Annotated[Service, Depends(service_of)]


async def known_job_id(job_id: str, request: Request, service: Serving) -> str:
    """Refuse what can be no job's id before anybody looks for it, and the jobs of other keys."""
    if not JOB_ID.fullmatch(job_id):
        raise UnknownJob("That is not the id of a job.")
    await service.check_owner(job_id, owner_of(request))
    return job_id


async def known_index(index: str) -> int:
    """Refuse what can be no picture's number before anybody looks for it."""
    if not IMAGE_INDEX.fullmatch(index):
        raise UnknownImage("Pictures are numbered from 0.")
    return int(index)


JobId = Annotated[str, Depends(known_job_id)]
ImageIndex = Annotated[int, Depends(known_index)]
Accept = Annotated[str, Header()]
IdempotencyKey = Annotated[str, Header()]
ReadTimeout = Annotated[str, Header(alias="x-stainless-read-timeout")]
Needs = [Depends(require_json)]


@router.post(
    "/generate",
    dependencies=Needs,
    responses=REFUSALS,
    response_model=schemas.GenerateResponse,
)
async def generate(
    request: Request,
    wish: schemas.GenerateRequest,
    service: Serving,
    accept: Accept = "*/*",
    prefer: Annotated[str, Header()] = "",
    read_timeout_s: ReadTimeout = "",
    idempotency_key: IdempotencyKey = "",
) -> Response:
    """Make pictures within the latency budget and wait for them, or not with respond-async."""
    wanted = _answer_type(wish, accept)
    if wanted != JSON and wish.num_images > 1:
        raise InvalidRequest([FieldError("num_images", f"must be 1 when Accept is {wanted}")])
    mine = signature(wish, request, idempotency_key)
    encoding = encoding_of(wish, wanted)
    asked = picture_request(wish, service, read_timeout_s, encoding=encoding, **mine)
    with_images = wanted != JSON or wish.response_format == "b64_json"
    if not wants_async(prefer):
        refuse_webhook(wish.webhook_url)
        made = await service.generate(asked, partial(left, request), with_images=with_images)
        return _shown(made, wanted)
    accepted, seconds = await service.accept(asked), wait_s(prefer)
    soon = await service.soon(accepted, seconds, with_images=with_images)
    if soon is not None:
        return _shown(soon, wanted)
    applied = f"respond-async, wait={seconds:.0f}" if seconds else "respond-async"
    return await to_follow(accepted, service, {"Preference-Applied": applied})


@router.get("/jobs/{job_id}", response_model=schemas.JobBody, responses={404: PROBLEM})
async def job_status(job_id: JobId, service: Serving) -> Response:
    """Tell where a job is, and its result once it has one."""
    return body(answers.job(await service.status(job_id)))


@router.get(
    "/jobs/{job_id}/images/{index}",
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}}, 404: PROBLEM},
)
async def job_image(job_id: JobId, index: ImageIndex, service: Serving) -> Response:
    """Return one picture of a finished job."""
    image = await service.image(job_id, index)
    kept = {"Cache-Control": "private, max-age=300"}
    return Response(image, headers=kept, media_type=media_type(image))


@router.delete(
    "/jobs/{job_id}", response_model=schemas.JobBody, responses={404: PROBLEM, 409: PROBLEM}
)
async def cancel_job(job_id: JobId, service: Serving) -> Response:
    """Cancel a job: at once while it waits, at its next step while it runs (then 202)."""
    status = answers.job(await service.cancel(job_id))
    return body(status, 202 if status.state == "running" else 200)


@router.post("/plan", dependencies=Needs, response_model=schemas.PlanResponse, responses=REFUSALS)
async def plan(
    wish: schemas.PlanRequest, service: Serving, read_timeout_s: ReadTimeout = ""
) -> Response:
    """Tell which plan would be picked now, without making anything."""
    asked = picture_request(wish, service, read_timeout_s)
    decision = await service.decide(asked)
    return body(answers.plan(decision, asked.budget_ms, asked.num_images))


@router.get("/plans", response_model=schemas.PlansResponse)
async def plans(service: Serving) -> Response:
    """List the plans worth running, for each model and size of the live fleet."""
    return body(answers.plans(await service.live(), service.overhead.p95_ms))


@router.get("/models", response_model=schemas.ModelsResponse)
async def models(service: Serving) -> Response:
    """List the models of the live fleet."""
    return body(answers.models(await service.live()))


@router.get("/healthz", response_model=schemas.HealthBody)
async def healthz() -> Response:
    """Tell that the gateway runs."""
    return body(schemas.HealthBody(status="ok"))


@router.get("/readyz", response_model=schemas.HealthBody, responses={503: PROBLEM})
async def readyz(service: Serving) -> Response:
    """Tell whether a request could be served: the store answers and a worker is ready."""
    workers = (await service.live()).workers
    if workers == 0:
        raise NoWorkers("The store answers, but no worker is ready yet.")
    return body(schemas.HealthBody(status="ready", workers=workers))


@router.get("/metrics", response_class=Response)
async def metrics(service: Serving) -> Response:
    """Return the metrics in the Prometheus text format."""
    await measure(service.queue, service.telemetry)
    return Response(service.telemetry.render(), headers={"Content-Type": METRICS_TYPE})


def picture_request(
    wish: schemas.PlanRequest, service: Service, read_timeout_s: str, **more: Any
) -> PictureRequest:
    """Say what is wanted in the service's words; the budget may be the client's patience."""
    given = wish.model_dump(exclude=HTTP_FIELDS)
    budget_ms = wish.latency_budget_ms or usual_budget_ms(service, read_timeout_s)
    return PictureRequest(budget_ms=budget_ms, **given, **more)


def usual_budget_ms(service: Service, read_timeout_s: str) -> float:
    """Return the budget of a request that names none: the client's patience if it tells that."""
    hint_ms = patience_ms(read_timeout_s)
    fallback_ms = service.settings.default_budget_ms if hint_ms is None else hint_ms
    return min(fallback_ms, MAX_BUDGET_MS)


def owner_of(request: Request) -> str:
    """Return whose key a request came with, an empty string where there are no keys."""
    key = caller_of(request)
    return "" if key is None else key.name


def signed(
    asked: PictureRequest, wish: BaseModel, request: Request, idempotency_key: str = ""
) -> PictureRequest:
    """Say who asks, how many jobs that may be, and which earlier request it may repeat."""
    return asked.copy(**signature(wish, request, idempotency_key))


def signature(wish: BaseModel, request: Request, idempotency_key: str = "") -> dict[str, Any]:
    """Return the members of a PictureRequest that say what `signed` does."""
    key = caller_of(request)
    owner = "" if key is None else key.name
    return {
        "owner": owner,
        "concurrent_jobs": 0 if key is None else key.concurrent_jobs,
        "once": idempotency.once(idempotency_key, owner, wish),
    }


def encoding_of(wish: schemas.GenerateRequest, wanted: str = JSON) -> Encoding:
    """Return how the pictures become files, where the answer is of type `wanted`."""
    accepted = {kind: name for name, kind in MEDIA_TYPES.items()}.get(wanted, LOSSLESS)
    name, described = wish.output_format or accepted, wish.embed_metadata
    return encoding(name, wish.output_quality, "output_quality", described=described)


def body(message: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Write a body as JSON, leaving out optional parts that do not apply to it."""
    return Response(message.model_dump_json(), status, headers, media_type=JSON)


async def left(request: Request) -> None:
    """Return when the caller has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def to_follow(
    accepted: Accepted, service: Service, further: dict[str, str] | None = None
) -> Response:
    """Answer with the address of a job that was not waited for to its end."""
    headers = {
        "Location": f"/jobs/{accepted.job.id}",
        "X-Job-Id": accepted.job.id,
        **_replayed(accepted),
        **(further or {}),
    }
    status = await service.status(accepted.job.id)
    return body(answers.job(status), 202, headers)


def _shown(made: Made, wanted: str) -> Response:
    headers = _headers(made)
    if wanted == JSON:
        return Response(answers.written(made), headers=headers, media_type=JSON)
    return Response(made.images[0], headers=headers, media_type=media_type(made.images[0]))


def _answer_type(wish: schemas.GenerateRequest, accept: str) -> str:
    offers = OFFERS[wish.output_format]
    wanted = choose_type(accept, offers)
    if wanted is None:
        raise NotAcceptable(f"The answer can be {' or '.join(offers)}.")
    return wanted


def _headers(made: Made) -> dict[str, str]:
    return {
        "Server-Timing": answers.server_timing(made.result.timing),
        "X-Blockcache-Plan": made.result.plan.name,
        "X-Blockcache-Budget-Met": str(made.met).lower(),
        "X-Job-Id": made.result.job_id,
        **_replayed(made.accepted),
    }


def _replayed(accepted: Accepted) -> dict[str, str]:
    return {} if accepted.first else {"Idempotent-Replayed": "true"}
