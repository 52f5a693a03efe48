"""From exceptions to error bodies (RFC 9457): one table and the few functions that apply it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app import errors
from app.contract.errors import (
    DecodeError,
    KeyReused,
    QueueFull,
    StoreUnavailable,
    TooManyJobs,
)
from app.description import methods_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

MEDIA_TYPE = "application/problem+json"
PLAIN = "about:blank"
REDUCED_CAPACITY = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
RETRY_AFTER_S = 1
NO_RETRY = {"x-should-retry": "false"}


@dataclass(frozen=True, slots=True)
class Kind:
    """How a kind of exception is answered. Without a title, that of the status."""

    status: int
    type: str = PLAIN
    title: str = ""
    headers: tuple[tuple[str, str], ...] = ()


def _own(name: str) -> str:
    return f"urn:blockcache:problem:{name}"


_LATER = (("Retry-After", str(RETRY_AFTER_S)),)
# The OpenAI SDK repeats 409, 429 and 5xx by itself; to repeat what was missed doubles an overload.
_NEVER = tuple(NO_RETRY.items())

KINDS: dict[type[Exception], Kind] = {
    errors.UnknownHost: Kind(421, _own("unknown-host"), "The name is not this machine's"),
    errors.NoKey: Kind(401, _own("key-needed"), "A key is needed"),
    errors.TooManyRequests: Kind(429, QUOTA_EXCEEDED, "The key has asked too often"),
    errors.TooManyStreams: Kind(503, REDUCED_CAPACITY, "Too many streams are open", _LATER),
    TooManyJobs: Kind(429, QUOTA_EXCEEDED, "The key has too many jobs at once", _LATER),
    KeyReused: Kind(422, _own("idempotency-key-reused"), "The idempotency key is taken"),
    errors.InvalidRequest: Kind(422, _own("invalid-request"), "The request has wrong fields"),
    errors.BudgetTooSmall: Kind(422, _own("budget-too-small"), "The latency budget is too small"),
    errors.QualityTooHigh: Kind(422, _own("quality-too-high"), "No plan is that good"),
    errors.Busy: Kind(503, REDUCED_CAPACITY, "The queue is too long for this budget"),
    QueueFull: Kind(503, REDUCED_CAPACITY, "The queue is full", _LATER),
    errors.NoWorkers: Kind(503, _own("no-workers"), "No worker is ready", _LATER),
    StoreUnavailable: Kind(503, _own("store-unavailable"), "The store does not answer", _LATER),
    DecodeError: Kind(500, _own("unreadable"), "The stored message is of another version", _NEVER),
    errors.NotAcceptable: Kind(406),
    errors.UnsupportedType: Kind(415),
    errors.BodyTooLarge: Kind(413),
    errors.BodyTooSlow: Kind(408, headers=_NEVER),
    errors.UnknownJob: Kind(404, _own("unknown-job"), "There is no such job"),
    errors.UnknownImage: Kind(404, _own("unknown-image"), "There is no such picture"),
    errors.UnknownPlan: Kind(404, _own("unknown-plan"), "There is no such plan"),
    errors.JobOver: Kind(409, _own("job-over"), "The job has ended", _NEVER),
    errors.JobCancelled: Kind(409, _own("job-cancelled"), "The job was cancelled", _NEVER),
    errors.DeadlineMissed: Kind(504, _own("deadline-missed"), "No picture in time", _NEVER),
    errors.JobFailed: Kind(500, _own("job-failed"), "The picture could not be made", _NEVER),
    errors.CallerGone: Kind(499, _own("caller-gone"), "The caller disconnected"),
}

WORDS = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "string_type": "must be a string",
    "string_unicode": "must be valid Unicode text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "value_error": "{error}",
    "json_invalid": "is not JSON: {error}",
    "model_attributes_type": "must be a JSON object",
    "model_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
}
TITLES = {499: "Client Closed Request"}


def install(app: FastAPI) -> None:
    """Answer every known exception, routing errors included, as problem+json."""
    for exception in KINDS:
        app.add_exception_handler(exception, _answer)
    app.add_exception_handler(Exception, _answer)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_invalid)


def problem(error: Exception) -> Response:
    """Return the answer to an exception of the table; anything else is a bare 500."""
    kind = next((KINDS[cls] for cls in type(error).__mro__ if cls in KINDS), Kind(500))
    known = kind.status != 500 or type(error) in KINDS
    detail = str(error) if known else "The gateway failed; the log says why."
    return respond(kind, detail, _members(error), _headers(error))


def respond(
    kind: Kind,
    detail: str,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Write one problem body."""
    body = {
        "type": kind.type,
        "title": kind.title or _title(kind.status),
        "status": kind.status,
        "detail": detail,
        **(members or {}),
    }
    # ASCII only: a field name may hold halves of surrogate pairs, which are no UTF-8.
    content = json.dumps(body).encode("ascii")
    return Response(
        content, kind.status, {**dict(kind.headers), **(headers or {})}, media_type=MEDIA_TYPE
    )


def describe(found: Mapping[str, Any]) -> errors.FieldError:
    """Say in plain words what a validation error is about, never repeating the value."""
    where = [str(part) for part in found["loc"] if part != "body"]
    if found["type"] == "json_invalid":
        where = []
    field = ".".join(where)[:200] or "body"
    context = {"error": "", **found.get("ctx", {})}
    words = WORDS.get(found["type"], "has a value that is not allowed")
    return errors.FieldError(field, words.format(**context))


def _answer(_: Request, error: Exception) -> Response:
    return problem(error)


def _answer_invalid(_: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise TypeError from error
    return problem(errors.InvalidRequest([describe(found) for found in error.errors()]))


def _answer_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise TypeError from error
    detail = HTTP_DETAILS.get(error.status_code, error.detail)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        # The router names the methods of the first route at this path only.
        headers["Allow"] = ", ".join(sorted(methods_at(request.app, request.url.path)))
    return respond(Kind(error.status_code), detail, headers=headers)


HTTP_DETAILS = {
    400: "The body cannot be read; send one JSON object in UTF-8.",
    404: "There is nothing at this address.",
    405: "This address does not answer that method.",
}


def _members(error: Exception) -> dict[str, Any]:
    members: dict[str, Any] = {}
    if (minimum_ms := getattr(error, "minimum_ms", None)) is not None:
        members["minimum_latency_ms"] = minimum_ms
    if isinstance(error, errors.InvalidRequest):
        listed = [{"field": e.field, "message": e.message} for e in error.errors]
        members["errors"] = listed
    if isinstance(error, errors.QualityTooHigh):
        members["best_quality"] = error.best
    return members


def _headers(error: Exception) -> dict[str, str]:
    if isinstance(error, errors.Busy):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, errors.NoKey | errors.TooManyRequests):
        return error.headers
    return {}


def _title(status: int) -> str:
    return TITLES.get(status) or HTTPStatus(status).phrase
