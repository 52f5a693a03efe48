"""Keeps pages of other names away from a gateway that asks this machine's callers for no key.

A page's own name may be made to lead to this machine (DNS rebinding): a browser then takes gateway
and page for one origin, and only the name it asks for tells them apart.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from app.errors import UnknownHost
from app.problems import problem
from app.settings import is_loopback

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL = ".localhost"


class KnownHosts:
    """Refuses every request whose Host is neither loopback's nor one of `names`."""

    def __init__(self, app: ASGIApp, names: tuple[str, ...]) -> None:
        self._app = app
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request (ASGI)."""
        if scope["type"] == "lifespan" or self._knows(scope):
            await self._app(scope, receive, send)
            return
        error = UnknownHost(
            "Without keys only this machine's own names are answered to, such as localhost; "
            "BLOCKCACHE_ALLOWED_HOSTS adds others."
        )
        await problem(error)(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        told = [value for name, value in scope["headers"] if name == b"host"]
        return len(told) == 1 and self._is_known(told[0].decode("latin-1"))

    def _is_known(self, host: str) -> bool:
        name = host_name(host)
        return name in self._names or is_local(name)


# Callers ask by few names, with every request.
@lru_cache(maxsize=64)
def is_local(name: str) -> bool:
    """Return whether only this machine's callers can mean that name."""
    return name.endswith(LOCAL) or is_loopback(name)


@lru_cache(maxsize=64)
def host_name(host: str) -> str:
    """Return the name or address of a Host header without its port, empty where it has none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""
