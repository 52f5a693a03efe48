"""What happens to every HTTP request: its name, its duration, its size, its last resort."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders

from app.contract.tracing import OFF
from app.errors import BodyTooLarge, BodyTooSlow
from app.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.contract.tracing import Answered, Tracing
    from app.telemetry import Telemetry

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
UNMATCHED = "unmatched"
GONE = 499  # the caller left before there was an answer
LOG = logging.getLogger("blockcache.requests")
# Asked too often to be worth a line or a trace each.
PROBES = frozenset({"/healthz", "/readyz", "/metrics", "/status"})


def header(scope: Scope, wanted: bytes) -> bytes:
    """Return the first header of that name, empty where there is none."""
    for name, value in scope["headers"]:
        if name == wanted:
            found: bytes = value
            return found
    return b""


class Envelope:
    """Names, times, traces and logs every request; answers an unexpected failure with a problem."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry, tracing: Tracing) -> None:
        self._app = app
        self._telemetry = telemetry
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        tracing = OFF if scope["path"] in PROBES else self._tracing
        with tracing.request(scope["method"], Headers(scope=scope)) as answered:
            await self._serve(_Exchange(scope, send, tracing.trace_id()), receive, answered)

    async def _serve(self, exchange: _Exchange, receive: Receive, answered: Answered) -> None:
        try:
            await self._app(exchange.scope, receive, exchange.send)
        except Exception as error:
            LOG.exception("unexpected", extra={"fields": exchange.fields()})
            if not exchange.status:
                await problem(error)(exchange.scope, receive, exchange.send)
        finally:
            self._record(exchange, answered)

    def _record(self, exchange: _Exchange, answered: Answered) -> None:
        fields = exchange.fields()
        answered(fields["route"], fields["status"])
        self._telemetry.request(fields["route"], fields["status"], fields["duration_s"])
        level = logging.DEBUG if fields["route"] in PROBES else logging.INFO
        LOG.log(level, "request", extra={"fields": fields})


class _Exchange:
    """One request and what was answered so far."""

    def __init__(self, scope: Scope, send: Send, trace_id: str | None) -> None:
        self.status = 0
        self.scope = scope
        self._trace_id = trace_id
        self._send = send
        self._started_s = time.perf_counter()
        given = header(scope, b"x-request-id").decode("latin-1")
        self._id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._id
            headers["X-Content-Type-Options"] = "nosniff"
            if self._trace_id is not None:
                headers["X-Trace-Id"] = self._trace_id
        await self._send(message)

    def fields(self) -> dict[str, Any]:
        # The route's template and never the path: a path may hold anything.
        return {
            "request_id": self._id,
            "method": self.scope["method"],
            "route": getattr(self.scope.get("route"), "path", UNMATCHED),
            "status": self.status or GONE,
            "caller": getattr(self.scope.get("state", {}).get("caller"), "name", None),
            "duration_s": round(time.perf_counter() - self._started_s, 6),
        }


class BodyLimit:
    """Reads each body before anything else does, and refuses a long or slow one on the way."""

    def __init__(self, app: ASGIApp, max_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except (BodyTooLarge, BodyTooSlow) as error:
            await problem(error)(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, read_again(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        declared = header(scope, b"content-length")
        if declared.isdigit() and int(declared[:20]) > self._max_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._collect(receive)
        except TimeoutError as error:
            raise BodyTooSlow(f"No whole body within {self._timeout_s:g} s.") from error

    async def _collect(self, receive: Receive) -> bytes | None:
        chunks = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunks += message.get("body", b"")
            if len(chunks) > self._max_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(chunks)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"The body may have at most {self._max_bytes} bytes.")


def read_again(body: bytes, receive: Receive) -> Receive:
    """Hand out a body that was read already, then whatever really comes next."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def read() -> Message:
        return messages.pop() if messages else await receive()

    return read
