"""The OpenAI Images API, for clients that speak nothing else."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from app import answers, openai_schemas, problems
from app.contract.errors import ContractError
from app.errors import FieldError, InvalidRequest, Refused
from app.faces import Face
from app.following import follow
from app.formats import LOSSLESS, encoding, format_of
from app.routes import Needs, ReadTimeout, Serving, body, left, signed, usual_budget_ms
from app.stages import Made, PictureRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.contract.jobs import Encoding
    from app.fleet import Offer
    from app.service import Service
    from app.stages import Accepted

INVALID, NOT_FOUND, UNPROCESSABLE, FAILED = 400, 404, 422, 500
PARAMS = {
    "width": "size",
    "height": "size",
    "num_images": "n",
    "max_steps": "num_inference_steps",
    "body": None,
}
"""What the service's fields are called here."""
BUDGET_PROBLEMS = {"budget_too_small", "temporary_reduced_capacity"}
TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

router = APIRouter(prefix="/v1")


@router.post(
    "/images/generations", dependencies=Needs, response_model=openai_schemas.ImagesResponse
)
async def generate(
    request: Request,
    wish: openai_schemas.ImageRequest,
    service: Serving,
    read_timeout_s: ReadTimeout = "",
) -> Response:
    """Make pictures within the latency budget, and show them on their way with `stream`."""
    budget_ms = wish.latency_budget_ms or usual_budget_ms(service, read_timeout_s)
    asked = signed(_asked(wish, budget_ms), wish, request)
    if wish.stream:
        accepted = await service.submit(asked, reserve=True)
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        events = _events(service, accepted)
        return StreamingResponse(events, headers=headers, media_type="text/event-stream")
    with_images = wish.response_format != "url"
    made = await service.generate(asked, partial(left, request), with_images=with_images)
    return body(_described(made, str(request.base_url)))


@router.get("/models", response_model=openai_schemas.ModelList)
async def models(service: Serving) -> Response:
    """List the models of the live fleet."""
    fleet = await service.live()
    data = [_model(fleet.of_model(name)[0]) for name in fleet.models]
    return body(openai_schemas.ModelList(data=data))


@router.get("/models/{model:path}", response_model=openai_schemas.ModelData)
async def model(model: str, service: Serving) -> Response:
    """Describe one model of the live fleet."""
    fleet = await service.live()
    offers = fleet.of_model(model)
    if not offers:
        known = ", ".join(fleet.models) or "none, no worker is ready"
        raise InvalidRequest([FieldError("model", f"no live worker has it; there is: {known}")])
    return body(_model(offers[0]))


def words(problem: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return the status and body by which OpenAI's clients know a problem."""
    wrong = problem.get("errors", [])
    fields = [PARAMS.get(error["field"], error["field"]) for error in wrong]
    said = [
        f"{name}: {error['message']}" if name else error["message"]
        for name, error in zip(fields, wrong, strict=True)
    ]
    code = _code(problem)
    error = {
        "message": "; ".join(dict.fromkeys(said)) or problem["detail"],
        "type": _type(problem["status"]),
        "param": fields[0] if fields else _budget_param(code),
        "code": code,
    }
    status = INVALID if problem["status"] == UNPROCESSABLE else problem["status"]
    if "model" in fields:
        status, error["code"] = NOT_FOUND, "model_not_found"
    if "minimum_latency_ms" in problem:
        error["minimum_latency_ms"] = problem["minimum_latency_ms"]
    return status, {"error": error}


FACE = Face("/v1/", words)


def _code(problem: dict[str, Any]) -> str:
    plain = problem["type"] == problems.PLAIN
    name: str = problem["title"].lower() if plain else re.split("[:#]", problem["type"])[-1]
    return name.replace(" ", "_").replace("-", "_")


def _type(status: int) -> str:
    return TYPES.get(status) or ("server_error" if status >= FAILED else "invalid_request_error")


def _budget_param(code: str) -> str | None:
    return "latency_budget_ms" if code in BUDGET_PROBLEMS else None


def _asked(wish: openai_schemas.ImageRequest, budget_ms: float) -> PictureRequest:
    width, height = wish.sides
    return PictureRequest(
        budget_ms=budget_ms,
        prompt=wish.prompt,
        negative_prompt=wish.negative_prompt,
        model=wish.model,
        width=width,
        height=height,
        guidance_scale=wish.guidance_scale,
        seed=wish.seed,
        num_images=wish.n or 1,
        min_quality=wish.min_quality,
        max_steps=wish.num_inference_steps,
        previews=wish.partial_images or 0,
        full_previews=True,  # clients show them as large as the picture
        encoding=_encoding(wish),
    )


def _encoding(wish: openai_schemas.ImageRequest) -> Encoding:
    name, compression = wish.output_format or LOSSLESS, wish.output_compression
    if name == LOSSLESS and compression == 100:
        compression = None
    quality = None if compression is None else max(compression, 1)
    return encoding(name, quality, "output_compression", described=wish.embed_metadata)


async def _events(service: Service, accepted: Accepted) -> AsyncIterator[bytes]:
    shown = 0
    try:
        async with aclosing(follow(service, accepted)) as stages:
            async for stage in stages:
                if isinstance(stage, Made):
                    yield _event(_completed(stage))
                else:
                    yield _event(_partial(accepted, stage, shown))
                    shown += 1
    except (Refused, ContractError) as error:
        _, said = words(json.loads(bytes(problems.problem(error).body)))
        yield _sse("error", json.dumps({"type": "error", **said}))


def _event(event: openai_schemas.PartialImage | openai_schemas.CompletedImage) -> bytes:
    return _sse(event.type, event.model_dump_json())


def _sse(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


def _partial(accepted: Accepted, picture: bytes, index: int) -> openai_schemas.PartialImage:
    return openai_schemas.PartialImage(partial_image_index=index, **_shown(accepted, picture))


def _completed(made: Made) -> openai_schemas.CompletedImage:
    (picture,) = made.images
    details, (seed,) = _details(made), made.result.seeds
    shown = _shown(made.accepted, picture)
    return openai_schemas.CompletedImage(seed=seed, blockcache=details, **shown)


def _shown(accepted: Accepted, picture: bytes) -> dict[str, Any]:
    return {
        "b64_json": b64encode(picture).decode("ascii"),
        "created_at": int(accepted.created_unix_ms // 1000),
        "output_format": format_of(picture),
        "size": f"{accepted.order.width}x{accepted.order.height}",
    }


def _described(made: Made, base_url: str) -> openai_schemas.ImagesResponse:
    job = made.accepted.order
    pictures = answers.made(made).images
    data = [
        openai_schemas.ImageData(b64_json=picture.b64_json, seed=picture.seed)
        if picture.b64_json
        else openai_schemas.ImageData(url=base_url + picture.url[1:], seed=picture.seed)
        for picture in pictures
    ]
    return openai_schemas.ImagesResponse(
        created=int(made.accepted.created_unix_ms // 1000),
        data=data,
        output_format=job.encoding.format,
        size=f"{job.width}x{job.height}",
        blockcache=_details(made),
    )


def _details(made: Made) -> dict[str, Any]:
    """Return what this service tells of a finished job beyond what OpenAI's API has words for."""
    return answers.made(made).model_dump(mode="json", exclude={"images", "created"})


def _model(offer: Offer) -> openai_schemas.ModelData:
    measured = offer.book.made.get("date")
    moment = datetime.fromisoformat(measured).replace(tzinfo=UTC) if measured else None
    return openai_schemas.ModelData(
        id=offer.model, created=int(moment.timestamp()) if moment else 0
    )
