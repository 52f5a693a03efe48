"""The short way to a picture: what asks well for one is answered past the router.

Laws of this file:
1. It answers as the route does, for it calls the same function with the same arguments.
2. Whatever is wrong with a request, it goes the long way, where all that is worded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError
from starlette.requests import Request

from app import problems, routes
from app.middleware import read_again
from app.negotiation import JSON
from app.schemas import GenerateRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.service import Service

PATH = "/generate"
PLAIN_JSON = JSON.encode("ascii")
# The headers that the route reads, in its order, and what it takes where one is missing.
TOLD = (
    (b"accept", b"*/*"), (b"prefer", b""), (b"x-stainless-read-timeout", b""),
    (b"idempotency-key", b""),
)  # fmt: skip


class Express:
    """Serves well-formed requests for pictures, and passes all others on (ASGI middleware).

    It stands inside of what reads the body first: the first message holds all of it.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._route = next(r for r in routes.router.routes if getattr(r, "path", "") == PATH)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        # Of a header that came twice the first counts, as in the routes.
        headers, body = dict(reversed(scope["headers"])), (await receive())["body"]
        wish = _understood(headers, body)
        if wish is None:
            await self._app(scope, read_again(body, receive), send)
            return
        scope["route"] = self._route
        answer = await self._answer(Request(scope, receive), wish, headers)
        await answer(scope, receive, send)

    async def _answer(
        self, request: Request, wish: GenerateRequest, headers: Mapping[bytes, bytes]
    ) -> Response:
        told = [headers.get(name, usual).decode("latin-1") for name, usual in TOLD]
        try:
            return await routes.generate(request, wish, self._service, *told)
        except tuple(problems.KINDS) as error:
            return problems.problem(error)


def _understood(headers: Mapping[bytes, bytes], body: bytes) -> GenerateRequest | None:
    """Return what a body asks for, None where anything about it is unusual."""
    if headers.get(b"content-type") != PLAIN_JSON:
        return None
    try:
        return GenerateRequest.model_validate_json(body)
    except ValidationError:
        return None
