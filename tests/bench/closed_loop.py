"""Callers that ask again as soon as they have their answer, at next to no cost of their own.

A client library takes longer for a request than some of the servers, on the same two cores.
"""

from __future__ import annotations

import json
import selectors
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from httptools import HttpResponseParser

from app.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

CHUNK = 1 << 16
STUCK_S = 30.0


@dataclass
class Caller:
    """One connection and its request under way."""

    connection: socket.socket
    request: bytes
    took_ms: list[float] = field(default_factory=list)

    def ask(self) -> None:
        """Send the request."""
        self._done = False
        self._parser = HttpResponseParser(self)
        self._began_s = time.perf_counter()
        self.connection.sendall(self.request)

    def on_message_complete(self) -> None:
        """Take in that the answer is whole (httptools)."""
        self._done = True

    def hear(self) -> bool:
        """Take in what has come; return whether that was the end. Raises ServiceError."""
        data = self.connection.recv(CHUNK)
        self._parser.feed_data(data)
        if not self._done:
            if not data:
                raise ServiceError("the server closed a connection")
            return False
        self.took_ms.append((time.perf_counter() - self._began_s) * 1000)
        if self._parser.get_status_code() != 200:
            raise ServiceError(f"a server under test answered {self._parser.get_status_code()}")
        return True


def ask_for(
    url: str, path: str, body: Mapping[str, Any], callers: int, seconds: float
) -> list[float]:
    """Return how long every answer took, in milliseconds; raises ServiceError."""
    at = urlsplit(url)
    request = _request(at.netloc, path, json.dumps(body).encode())
    asking = [Caller(_connected(at.hostname or "", at.port or 80), request) for _ in range(callers)]
    try:
        _ask_until(asking, time.perf_counter() + seconds)
    finally:
        for caller in asking:
            caller.connection.close()
    return [ms for caller in asking for ms in caller.took_ms]


def _ask_until(asking: list[Caller], until_s: float) -> None:
    with selectors.DefaultSelector() as ready:
        for caller in asking:
            ready.register(caller.connection, selectors.EVENT_READ, caller)
            caller.ask()
        while ready.get_map():
            heard = ready.select(STUCK_S)
            if not heard:
                raise ServiceError(f"a server under test gave no answer for {STUCK_S:g} s")
            for key, _ in heard:
                if not key.data.hear():
                    continue
                if time.perf_counter() < until_s:
                    key.data.ask()
                else:
                    ready.unregister(key.fileobj)


def _connected(host: str, port: int) -> socket.socket:
    connection = socket.create_connection((host, port), STUCK_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _request(host: str, path: str, body: bytes) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json",
        f"Content-Length: {len(body)}", "Accept: */*",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
