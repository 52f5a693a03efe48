"""How answers leave the gateway: what is written in one turn of the event loop goes out at once.

uvicorn writes head and body of an answer one after the other, and each write would wake the caller.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# More than this is not held back: a caller may be slow to read, and its answer shall wait then.
MOST_HELD_BYTES = 1 << 16


class Gathering:
    """A transport whose writes of one turn are one. Belongs to one event loop."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._turns = asyncio.get_running_loop()
        self._held: list[bytes] = []
        self._held_bytes = 0

    def write(self, data: bytes) -> None:
        """Send some bytes, at the end of this turn at the latest."""
        if not self._held:
            self._turns.call_soon(self._send)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > MOST_HELD_BYTES:
            self._send()

    def close(self) -> None:
        """Send what is held, and close."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        held, self._held, self._held_bytes = self._held, [], 0
        if held and not self._transport.is_closing():
            self._transport.writelines(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class GatheringProtocol(HttpToolsProtocol):
    """Speaks HTTP as its base class does, over such a transport."""

    def connection_made(self, transport: Any) -> None:
        """Take a new connection (asyncio)."""
        super().connection_made(Gathering(transport))  # type: ignore[arg-type]
