"""The judge's pages: one for each annotator, at a link that nobody can guess."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi import Path as InPath
from starlette.datastructures import MutableHeaders
from starlette.responses import Response

from app import problems
from app.judge.booth import Booth, Progress, Side, Verdict
from app.judge.errors import NoSuchPair, OutOfTurn, UnknownLink
from app.middleware import BodyLimit
from app.schemas import Message as Body

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

WEB = Path(__file__).parents[1] / "web_judge"
FILES = {"icon.svg": "image/svg+xml", "judge.css": "text/css", "judge.js": "text/javascript"}
MAX_BODY_BYTES = 4096
BODY_TIMEOUT_S = 10.0
# The link is the annotator's key: no other site may learn it, and no other page may show this one.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; connect-src 'self'; img-src 'self'; script-src 'self'; "
        "style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
KINDS = {
    UnknownLink: problems.Kind(404, "urn:blockcache:problem:unknown-link", "The link is not known"),
    NoSuchPair: problems.Kind(404, "urn:blockcache:problem:unknown-pair", "There is no such pair"),
    OutOfTurn: problems.Kind(409, "urn:blockcache:problem:out-of-turn", "Another pair is shown"),
}

router = APIRouter()
Token = Annotated[str, InPath(max_length=64)]
Position = Annotated[int, InPath(ge=0, le=10**6)]


class VoteBody(Body):
    """Which of the two pictures is better."""

    choice: Verdict


def create_app(booth: Booth) -> FastAPI:
    """Build the judge around a booth."""
    app = FastAPI(title="blockcache judge", openapi_url=None)
    app.state.booth = booth
    app.include_router(router)
    problems.install(app)
    for error in KINDS:
        app.add_exception_handler(error, _answer)
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES, timeout_s=BODY_TIMEOUT_S)
    app.add_middleware(SafeHeaders)
    return app


class SafeHeaders:
    """Puts `HEADERS` on every answer; nothing is kept by a cache that does not ask for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, tell)


def _booth(request: Request) -> Booth:
    booth: Booth = request.app.state.booth
    return booth


TheBooth = Annotated[Booth, Depends(_booth)]


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Say that the process runs."""
    return {"status": "ok"}


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Return a file of the page; any other is not there."""
    if name not in FILES:
        return problems.respond(problems.Kind(404), "There is nothing at this address.")
    return Response((WEB / name).read_bytes(), media_type=FILES[name])


@router.get("/j/{token}/")
def page(token: Token, booth: TheBooth) -> Response:
    """Return the page, the same for everybody; what it shows it asks for itself."""
    try:
        booth.progress(token)
    except UnknownLink:
        return _html("unknown.html", HTTPStatus.NOT_FOUND)
    return _html("index.html", HTTPStatus.OK)


@router.get("/j/{token}/progress")
def progress(token: Token, booth: TheBooth) -> Progress:
    """Return how far the annotator is, and the prompt of the next pair."""
    return booth.progress(token)


@router.get("/j/{token}/pictures/{position}/{side}")
def picture(token: Token, position: Position, side: Side, booth: TheBooth) -> Response:
    """Return one picture of a pair."""
    kept = {"Cache-Control": "private, max-age=86400, immutable"}
    return Response(booth.picture(token, position, side), media_type="image/png", headers=kept)


@router.put("/j/{token}/votes/{position}")
def vote(token: Token, position: Position, body: VoteBody, booth: TheBooth) -> Progress:
    """Vote on the pair that is shown."""
    booth.vote(token, position, body.choice)
    return booth.progress(token)


@router.delete("/j/{token}/votes/{position}")
def take_back(token: Token, position: Position, booth: TheBooth) -> Progress:
    """Take the latest vote back."""
    booth.take_back(token, position)
    return booth.progress(token)


def _html(name: str, status: HTTPStatus) -> Response:
    return Response((WEB / name).read_bytes(), status, media_type="text/html")


async def _answer(_: Request, error: Any) -> Response:
    return problems.respond(KINDS[type(error)], str(error))
