"""Lets in who has a key and asks no more often than it may, before anything else is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

from app import limits
from app.contract.errors import StoreUnavailable
from app.errors import NoKey, TooManyRequests
from app.keys import presented, recognise
from app.page import PATHS
from app.problems import problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.contract.ports import GatewayQueue
    from app.keyring import Keyring
    from app.keys import ApiKey

# What an orchestrator asks, what says how to ask for the rest, and the page, which asks its reader
# for a key. All other addresses need one.
OPEN = frozenset({"/healthz", "/readyz", "/openapi.json"}) | PATHS
METRICS = "/metrics"
CALLER = "caller"


class Guard:
    """Asks every request for a key, except at `open_paths`, and counts those that cost something.

    The key that was recognised is in the request's state as `caller`.
    """

    def __init__(
        self,
        app: ASGIApp,
        keyring: Keyring,
        queue: GatewayQueue,
        open_paths: frozenset[str],
    ) -> None:
        self._app = app
        self._keyring = keyring
        self._queue = queue
        self._open = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] == "lifespan" or scope["path"] in self._open:
            await self._app(scope, receive, send)
            return
        try:
            key = self._recognise(Headers(scope=scope))
            scope.setdefault("state", {})[CALLER] = key
            told = await self._count(scope["method"], key)
        except (NoKey, TooManyRequests, StoreUnavailable) as error:
            await problem(error)(scope, receive, send)
            return
        await self._app(scope, receive, _with_headers(told, send))

    def _recognise(self, headers: Headers) -> ApiKey:
        secret = presented(headers.get("authorization", ""), headers.get("x-api-key", ""))
        if not secret:
            raise NoKey("Send a key: Authorization: Bearer KEY, or X-API-Key: KEY.", "Bearer")
        key = recognise(secret, self._keyring.keys)
        if key is None:
            raise NoKey("This key is not known here.", 'Bearer error="invalid_token"')
        return key

    async def _count(self, method: str, key: ApiKey) -> dict[str, str]:
        if method not in limits.COUNTED:
            return {}
        most, window_ms = key.requests_per_minute, limits.WINDOW_S * 1000
        quota = await self._queue.enter(key.name, most, window_ms)
        told = limits.headers(key, quota)
        if not quota.allowed:
            raise TooManyRequests(most, limits.wait_s(quota), told)
        return told


def caller_of(request: Request) -> ApiKey | None:
    """Return the key a request was let in by, None where no keys are configured."""
    # Not by the request's `state`: it would be made first, to say that there is nothing in it.
    caller: ApiKey | None = request.scope.get("state", {}).get(CALLER)
    return caller


def _with_headers(headers: Mapping[str, str], send: Send) -> Send:
    async def tell(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(headers)
        await send(message)

    return tell
