"""The API description, with the errors that every address may answer with, as they really look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import compile_path

from app.formats import MEDIA_TYPES
from app.schemas import openapi_problem

if TYPE_CHECKING:
    from fastapi import FastAPI

STRING, NULLABLE = {"type": "string"}, {"type": ["string", "null"]}
RANGES = {"4XX": "The request is refused; the body says why", "5XX": "Not now, or not at all"}
# What stands in for errors that the framework would describe and the gateway words differently.
FRAMEWORKS = "#/components/schemas/HTTPValidationError"


def _object(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": sorted(members)}


def _as_json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


OPENAI = _as_json(_object(error=_object(message=STRING, type=STRING, param=NULLABLE, code=STRING)))
SDAPI = _as_json(_object(error=STRING, detail=STRING, body=STRING, errors=STRING))
ERRORS = {"/v1": OPENAI, "/sdapi": SDAPI}
# What an address answers with beside its usual body, by what the request asks for.
ALSO: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
    ("/generate", "post"): {
        "200": {"content": {kind: {} for kind in MEDIA_TYPES.values()}},
        "202": {
            "description": "The job of a request with Prefer: respond-async",
            **_as_json({"$ref": "#/components/schemas/JobBody"}),
        },
    },
    ("/jobs/{job_id}", "delete"): {
        "202": {
            "description": "The job runs and will stop at its next step",
            **_as_json({"$ref": "#/components/schemas/JobBody"}),
        },
    },
    ("/v1/images/generations", "post"): {"200": {"content": {"text/event-stream": {}}}},
}


def install(app: FastAPI) -> None:
    """Let the application describe itself so."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = described(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def described(app: FastAPI) -> dict[str, Any]:
    """Return the description of an application in the words of OpenAPI."""
    schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
    for path, operations in schema["paths"].items():
        error = next((ERRORS[p] for p in ERRORS if path.startswith(p)), openapi_problem())
        for method, operation in operations.items():
            responses = _with_errors(operation["responses"], error)
            operation["responses"] = _with_more(responses, ALSO.get((path, method), {}))
    return schema


def methods_at(app: FastAPI, path: str) -> frozenset[str]:
    """Return the methods that an address answers."""
    paths = app.openapi()["paths"].items()
    found = [methods for template, methods in paths if compile_path(template)[0].match(path)]
    return frozenset(method.upper() for methods in found for method in methods)


def _with_more(responses: dict[str, Any], more: dict[str, dict[str, Any]]) -> dict[str, Any]:
    merged = dict(responses)
    for status, told in more.items():
        known = merged.get(status, {})
        content = {**known.get("content", {}), **told["content"]}
        merged[status] = {**told, **known, "content": content}
    return dict(sorted(merged.items()))


def _with_errors(responses: dict[str, Any], error: dict[str, Any]) -> dict[str, Any]:
    kept = {status: told for status, told in responses.items() if FRAMEWORKS not in repr(told)}
    return {**kept, **{status: {"description": text, **error} for status, text in RANGES.items()}}
