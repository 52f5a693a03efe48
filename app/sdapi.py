"""AUTOMATIC1111's API, for the many clients that speak it."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app import sdapi_progress, sdapi_schemas
from app.contract.errors import StoreUnavailable
from app.contract.infotext import infotext, sampler
from app.contract.jobs import FINAL_STATES, JobState
from app.errors import FieldError, InvalidRequest
from app.faces import Face
from app.formats import LOSSLESS, encoding
from app.routes import (
    Needs,
    ReadTimeout,
    Serving,
    body,
    left,
    owner_of,
    signed,
    usual_budget_ms,
)
from app.schemas import MAX_PREVIEWS
from app.stages import PictureRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.jobs import Encoding
    from app.contract.ports import JobStatus
    from app.fleet import Fleet, Offer
    from app.service import Service
    from app.stages import Accepted, Made

AUTOMATIC = "automatic"
LATEST = -1
FIELDS = {"num_images": "batch_size", "max_steps": "steps", "model": "sd_model_checkpoint"}
"""What the service's fields are called here."""

router = APIRouter(prefix="/sdapi/v1")
Task = Annotated[str, Query(max_length=200)]


@router.post("/txt2img", dependencies=Needs, response_model=sdapi_schemas.Txt2ImgResponse)
async def txt2img(
    request: Request,
    wish: sdapi_schemas.Txt2ImgRequest,
    service: Serving,
    read_timeout_s: ReadTimeout = "",
) -> Response:
    """Make pictures within the latency budget; `steps` is the most they may take."""
    if wrong := sdapi_schemas.refused(wish):
        raise InvalidRequest(wrong)
    budget_ms = wish.latency_budget_ms or usual_budget_ms(service, read_timeout_s)
    asked = signed(_asked(wish, budget_ms, await service.live()), wish, request)
    accepted = await service.submit(asked, reserve=True)
    await _remember(service, accepted, _tags(request, wish.force_task_id))
    made = await service.complete(accepted, partial(left, request))
    return body(_described(wish, made))


@router.get("/progress", response_model=sdapi_schemas.ProgressResponse)
async def progress(
    request: Request, service: Serving, id_task: Task = "", skip_current_image: bool = False
) -> Response:
    """Tell how far the caller's job is: the one with that `force_task_id`, else the latest.

    With its latest preview, if it was to make some.
    """
    found = await _unfinished(service, request, id_task)
    running = [status for status in found if status.state is JobState.RUNNING]
    status = next(iter(running or found), None)
    if status is None:
        return body(sdapi_schemas.ProgressResponse())
    seen = None if skip_current_image else await service.queue.preview(status.id, LATEST)
    return body(sdapi_progress.of(status, await service.queue.now_unix_ms(), seen))


@router.post("/interrupt")
async def interrupt(request: Request, service: Serving, id_task: Task = "") -> dict[str, Any]:
    """Cancel the caller's jobs, or the one with that `force_task_id`; nobody else's."""
    for status in await _unfinished(service, request, id_task):
        await service.queue.cancel(status.id)
    return {}


@router.get("/samplers")
async def samplers(service: Serving) -> list[dict[str, Any]]:
    """List what the plans of the live fleet sample with."""
    known = _samplers(await service.live())
    return [{"name": name, "aliases": ours, "options": {}} for name, ours in known.items()]


@router.get("/sd-models")
async def sd_models(service: Serving) -> list[dict[str, Any]]:
    """List the models of the live fleet."""
    fleet = await service.live()
    offers = [fleet.of_model(name)[0] for name in fleet.models]
    return [
        {
            "title": _title(offer),
            "model_name": offer.model,
            "hash": offer.book.revision,
            "sha256": None,
            "filename": offer.model,
            "config": None,
        }
        for offer in offers
    ]


@router.get("/options")
async def options(service: Serving) -> dict[str, Any]:
    """Tell the options a request can override, as they are without that."""
    offers = (await service.live()).offers
    usual = encoding(LOSSLESS, None, "jpeg_quality")
    return {
        "sd_model_checkpoint": _title(offers[0]) if offers else None,
        "samples_format": usual.format,
        "jpeg_quality": usual.quality,
        "enable_pnginfo": usual.described,
        "live_previews_enable": False,
    }


@router.post("/options", dependencies=Needs)
async def set_options(wish: sdapi_schemas.Settings, service: Serving) -> None:
    """Agree to options as they are; whatever would change them for everybody is refused."""
    usual = await options(service)
    wanted = wish.model_dump(include=set(usual), exclude_none=True)
    if "sd_model_checkpoint" in wanted and usual["sd_model_checkpoint"]:
        usual["sd_model_checkpoint"] = _model_name(usual["sd_model_checkpoint"])
        wanted["sd_model_checkpoint"] = _model_name(wanted["sd_model_checkpoint"])
    message = "cannot be changed for everybody; send it in a request's override_settings"
    wrong = [FieldError(name, message) for name in wanted if wanted[name] != usual[name]]
    wrong += sdapi_schemas.refused_settings(wish)
    if wrong:
        raise InvalidRequest(wrong)


def words(problem: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return the status and body by which AUTOMATIC1111's clients know a problem."""
    said = [
        f"{FIELDS.get(error['field'], error['field'])}: {error['message']}"
        for error in problem.get("errors", [])
    ]
    detail = "; ".join(said) or problem["detail"]
    more = {"minimum_latency_ms"} & problem.keys()
    return problem["status"], {
        "error": problem["title"],
        "detail": detail,
        "body": "",
        "errors": detail,
        **{name: problem[name] for name in more},
    }


FACE = Face("/sdapi/", words)


def _asked(wish: sdapi_schemas.Txt2ImgRequest, budget_ms: float, fleet: Fleet) -> PictureRequest:
    checkpoint = wish.settings.sd_model_checkpoint
    return PictureRequest(
        budget_ms=budget_ms,
        prompt=wish.prompt,
        negative_prompt=wish.negative_prompt or "",
        model=_model_name(checkpoint) if checkpoint else None,
        width=wish.width,
        height=wish.height,
        guidance_scale=wish.cfg_scale,
        seed=wish.first_seed,
        num_images=wish.images,
        max_steps=wish.steps,
        solvers=_solvers(wish.sampler_name or wish.sampler_index or AUTOMATIC, fleet),
        encoding=_encoding(wish.settings),
        previews=MAX_PREVIEWS if wish.settings.live_previews_enable else 0,
    )


def _encoding(settings: sdapi_schemas.Settings) -> Encoding:
    name = sdapi_schemas.FORMATS[(settings.samples_format or LOSSLESS).lower()]
    quality = None if name == LOSSLESS else settings.jpeg_quality
    described = settings.enable_pnginfo is not False
    return encoding(name, quality, "jpeg_quality", described=described)


def _solvers(name: str, fleet: Fleet) -> frozenset[str]:
    """Return the solvers a sampler's name stands for, none for any of them."""
    wanted = name.lower()
    if wanted == AUTOMATIC or not fleet.offers:
        return frozenset()
    known = _samplers(fleet)
    for title, solvers in known.items():
        if wanted == title.lower() or wanted in solvers:
            return frozenset(solvers)
    listed = ", ".join((*known, "Automatic"))
    raise InvalidRequest([FieldError("sampler_name", f"no plan uses it; there is: {listed}")])


def _samplers(fleet: Fleet) -> dict[str, list[str]]:
    solvers = sorted({plan.solver for offer in fleet.offers for plan in offer.book.plans})
    titles = dict.fromkeys(sampler(solver) for solver in solvers)
    return {title: [s for s in solvers if sampler(s) == title] for title in titles}


def _title(offer: Offer) -> str:
    return f"{offer.model} [{offer.book.revision}]"


def _model_name(title: str) -> str:
    return title.partition(" [")[0]


def _tags(request: Request, task: str | None) -> list[str]:
    """Name the jobs of one caller, by key or else by address, and of its one task."""
    address = request.client.host if request.client else ""
    caller = json.dumps(owner_of(request) or request.headers.get("authorization") or address)
    return [f"caller {caller}", *([f"task {caller} {task}"] if task else [])]


async def _remember(service: Service, accepted: Accepted, tags: Sequence[str]) -> None:
    try:
        for tag in tags:
            await service.queue.tag(accepted.job.id, tag)
    except StoreUnavailable:
        service.leave(accepted)
        raise


async def _unfinished(service: Service, request: Request, task: str) -> list[JobStatus]:
    ids = await service.queue.tagged(_tags(request, task)[-1])
    found = [await service.queue.status(job_id) for job_id in ids]
    return [status for status in found if status and status.state not in FINAL_STATES]


def _described(wish: sdapi_schemas.Txt2ImgRequest, made: Made) -> sdapi_schemas.Txt2ImgResponse:
    images = made.images if wish.send_images is not False else ()
    return sdapi_schemas.Txt2ImgResponse(
        images=[b64encode(image).decode("ascii") for image in images],
        parameters=wish.model_dump(mode="json"),
        info=json.dumps(_info(wish, made)),
    )


def _info(wish: sdapi_schemas.Txt2ImgRequest, made: Made) -> dict[str, Any]:
    job, result = made.accepted.order, made.result
    plan, count = result.plan, len(result.seeds)
    created = datetime.fromtimestamp(made.accepted.created_unix_ms / 1000, UTC)
    texts = [infotext(job, seed, plan.solver, plan.steps, plan.rule) for seed in result.seeds]
    return {
        "prompt": job.prompt,
        "all_prompts": [job.prompt] * count,
        "negative_prompt": job.negative_prompt,
        "all_negative_prompts": [job.negative_prompt] * count,
        "seed": result.seeds[0],
        "all_seeds": list(result.seeds),
        "subseed": result.seeds[0],
        "all_subseeds": list(result.seeds),
        "subseed_strength": 0,
        "width": job.width,
        "height": job.height,
        "sampler_name": sampler(plan.solver),
        "cfg_scale": job.guidance_scale,
        "steps": plan.steps,
        "batch_size": wish.batch_size or 1,
        "restore_faces": False,
        "sd_model_name": job.model,
        "sd_model_hash": job.revision,
        "denoising_strength": 0,
        "extra_generation_params": {"Block caching": plan.rule, "Solver": plan.solver},
        "index_of_first_image": 0,
        "infotexts": texts,
        "styles": [],
        "job_timestamp": created.strftime("%Y%m%d%H%M%S"),
        "clip_skip": 1,
    }
