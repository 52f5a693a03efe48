"""Addresses of the gateway: each turns HTTP into one use case and its outcome back into HTTP."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from app import answers, schemas
from app.errors import (
    FieldError,
    InvalidRequest,
    NotAcceptable,
    NoWorkers,
    UnknownImage,
    UnknownJob,
    UnsupportedType,
)
from app.gauges import measure
from app.negotiation import JSON, PNG, choose_type, patience_ms, wants_async
from app.service import Made, PictureRequest, Service
from app.settings import MAX_BUDGET_MS

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PROBLEM = schemas.openapi_problem()
REFUSALS: dict[int | str, dict[str, Any]] = dict.fromkeys((406, 413, 415, 422, 503, 504), PROBLEM)

IMAGE_INDEX = re.compile(r"[0-9]{1,2}", re.ASCII)
JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

router = APIRouter()


def service_of(request: Request) -> Service:
    """Return the service this application was built with."""
    service = request.app.state.service
    if not isinstance(service, Service):
        raise TypeError(f"the application has no service but {service!r}")
    return service


def require_json(request: Request) -> None:
    """Refuse a body that does not say it is JSON; curl -d alone does not."""
    name = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if name != JSON and not name.endswith("+json"):
        raise UnsupportedType(
            "Send the body as JSON, with the header Content-Type: application/json."
        )


def known_job_id(job_id: str) -> str:
    """Refuse what can be no job's id before anybody looks for it."""
    if not JOB_ID.fullmatch(job_id):
        raise UnknownJob("That is not the id of a job.")
    return job_id


def known_index(index: str) -> int:
    """Refuse what can be no picture's number before anybody looks for it."""
    if not IMAGE_INDEX.fullmatch(index):
        raise UnknownImage("Pictures are numbered from 0.")
    return int(index)


Serving = Annotated[Service, Depends(service_of)]
JobId = Annotated[str, Depends(known_job_id)]
ImageIndex = Annotated[int, Depends(known_index)]
Accept = Annotated[str, Header()]
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
) -> Response:
    """Make pictures within the latency budget and wait for them, or not with respond-async."""
    wanted = choose_type(accept, (JSON, PNG))
    if wanted is None:
        raise NotAcceptable("The answer can be application/json or image/png.")
    asked = picture_request(wish, service, read_timeout_s)
    if wants_async(prefer):
        return await _accept(asked, service)
    if wanted == PNG and wish.num_images > 1:
        raise InvalidRequest([FieldError("num_images", "must be 1 when Accept is image/png")])
    with_images = wanted == PNG or wish.response_format == "b64_json"
    made = await service.generate(asked, partial(left, request), with_images=with_images)
    return _picture(made) if wanted == PNG else _described(made)


@router.get("/jobs/{job_id}", response_model=schemas.JobBody, responses={404: PROBLEM})
async def job_status(job_id: JobId, service: Serving) -> Response:
    """Tell where a job is, and its result once it has one."""
    return body(answers.job(await service.status(job_id)))


@router.get(
    "/jobs/{job_id}/images/{index}",
    response_class=Response,
    responses={200: {"content": {PNG: {}}}, 404: PROBLEM},
)
async def job_image(job_id: JobId, index: ImageIndex, service: Serving) -> Response:
    """Return one picture of a finished job."""
    image = await service.image(job_id, index)
    return Response(image, headers={"Cache-Control": "private, max-age=300"}, media_type=PNG)


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
    wish: schemas.PlanRequest, service: Service, read_timeout_s: str
) -> PictureRequest:
    """Say what is wanted in the service's words; the budget may be the client's patience."""
    given = wish.model_dump(exclude={"latency_budget_ms", "response_format"})
    hint_ms = patience_ms(read_timeout_s)
    fallback_ms = service.settings.default_budget_ms if hint_ms is None else hint_ms
    budget_ms = wish.latency_budget_ms or min(fallback_ms, MAX_BUDGET_MS)
    return PictureRequest(budget_ms=budget_ms, **given)


def body(message: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Write a body as JSON, leaving out optional parts that do not apply to it."""
    return JSONResponse(message.model_dump(mode="json"), status, headers)


async def left(request: Request) -> None:
    """Return when the caller has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _accept(asked: PictureRequest, service: Service) -> Response:
    accepted = await service.submit(asked)
    service.watch(accepted)
    headers = {
        "Location": f"/jobs/{accepted.job.id}",
        "Preference-Applied": "respond-async",
        "X-Job-Id": accepted.job.id,
    }
    status = await service.status(accepted.job.id)
    return body(answers.job(status), 202, headers)


def _described(made: Made) -> Response:
    return body(answers.made(made), headers=_headers(made))


def _picture(made: Made) -> Response:
    return Response(made.images[0], headers=_headers(made), media_type=PNG)


def _headers(made: Made) -> dict[str, str]:
    return {
        "Server-Timing": answers.server_timing(made.result.timing),
        "X-Blockcache-Plan": made.result.plan.name,
        "X-Blockcache-Budget-Met": str(made.met).lower(),
        "X-Job-Id": made.result.job_id,
    }
