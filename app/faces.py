"""Errors in the words of the API that was spoken to.

Everything in the gateway fails as problem+json, whoever raised it; below the paths of another API
this is translated on its way out, so that no route needs errors of its own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.datastructures import MutableHeaders

from app import problems

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class Face:
    """How an API below `prefix` words a problem body: the status to send, and the body."""

    prefix: str
    words: Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


class Faces:
    """Rewrites problem bodies below the prefixes of other APIs (ASGI middleware)."""

    def __init__(self, app: ASGIApp, faces: tuple[Face, ...]) -> None:
        self._app = app
        self._faces = faces
        self._prefixes = tuple(face.prefix for face in faces)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path.startswith(self._prefixes):
            face = next(face for face in self._faces if path.startswith(face.prefix))
            send = _Translator(face, send).send
        await self._app(scope, receive, send)


class _Translator:
    """Holds a problem back until its body is whole, lets everything else through."""

    def __init__(self, face: Face, send: Send) -> None:
        self._face = face
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_problem(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            await self._collect(self._start, message)

    async def _collect(self, start: Message, message: Message) -> None:
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        start["status"], words = self._face.words(json.loads(self._body))
        content = json.dumps(words).encode("ascii")
        headers = MutableHeaders(scope=start)
        headers["Content-Type"] = JSON.decode()
        headers["Content-Length"] = str(len(content))
        await self._send(start)
        await self._send({**message, "body": content})


def _is_problem(start: Message) -> bool:
    return MutableHeaders(scope=start).get("content-type") == problems.MEDIA_TYPE
