"""Addresses of jobs that nobody waits for: hand one in, follow one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response

from app import schemas
from app.errors import FieldError, InvalidRequest
from app.events import EVENT_ID
from app.feeds import EventStream, Feeds
from app.formats import MEDIA_TYPES, media_type
from app.routes import (
    PROBLEM,
    REFUSALS,
    IdempotencyKey,
    ImageIndex,
    JobId,
    Needs,
    ReadTimeout,
    Serving,
    encoding_of,
    picture_request,
    signed,
    to_follow,
)

router = APIRouter()


def feeds_of(request: Request) -> Feeds:
    """Return the feeds this application was built with."""
    feeds = request.app.state.feeds
    if not isinstance(feeds, Feeds):
        raise TypeError(f"the application has no feeds but {feeds!r}")
    return feeds


@router.post(
    "/jobs",
    dependencies=Needs,
    responses=REFUSALS,
    response_model=schemas.JobBody,
    status_code=202,
)
async def submit_job(
    request: Request,
    wish: schemas.GenerateRequest,
    service: Serving,
    read_timeout_s: ReadTimeout = "",
    idempotency_key: IdempotencyKey = "",
) -> Response:
    """Accept a job and answer at once with its address."""
    asked = picture_request(wish, service, read_timeout_s, encoding=encoding_of(wish))
    accepted = await service.accept(signed(asked, wish, request, idempotency_key))
    planned = {"X-Blockcache-Plan": accepted.order.plan.name} if accepted.first else {}
    return await to_follow(accepted, service, planned)


@router.get(
    "/jobs/{job_id}/previews/{index}",
    response_class=Response,
    responses={200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}}, 404: PROBLEM},
)
async def job_preview(job_id: JobId, index: ImageIndex, service: Serving) -> Response:
    """Return the first picture of a job as it was on its way."""
    picture = await service.preview(job_id, index)
    return Response(picture, headers={"Cache-Control": "no-store"}, media_type=media_type(picture))


@router.get(
    "/jobs/{job_id}/events",
    response_class=Response,
    responses={
        200: {"content": {EventStream.media_type: {}}},
        204: {"description": "The job is over and all of it was told"},
        404: PROBLEM,
    },
)
async def job_events(
    job_id: JobId,
    request: Request,
    service: Serving,
    last_event_id: Annotated[str, Header()] = "",
) -> Response:
    """Tell what happens to a job as it happens, beginning after Last-Event-ID."""
    if last_event_id and not EVENT_ID.fullmatch(last_event_id):
        raise InvalidRequest([FieldError("Last-Event-ID", "must be the id of an event sent here")])
    feeds, status = feeds_of(request), await service.status(job_id)
    over = last_event_id and status.outcome is not None
    if over and not await feeds.has_news(job_id, last_event_id):
        return Response(status_code=204)  # what tells an EventSource not to come back
    feeds.check_room()
    return EventStream(feeds.lines(job_id, last_event_id))
