"""A TCP proxy before a server that does to its clients what networks do."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

CHUNK_BYTES = 65_536
RST_ON_CLOSE = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on a port of its own and passes everything on to `upstream`, faults aside.

    That is the path of a Unix socket, or a port of this machine.
    `latency_s` is added to each direction. Of the next `lost_replies` requests the server sees the
    request and the client sees its connection reset. Both may be changed at any time, as may
    `upstream`.
    """

    def __init__(self, upstream: str | int) -> None:
        self.upstream = upstream
        self.latency_s = 0.0
        self.lost_replies = 0
        self._writers: set[StreamWriter] = set()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open, self._over = asyncio.Event(), asyncio.Event()
        self._open.set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def address(self) -> str:
        """Where clients find the server."""
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def swallow(self) -> None:
        """Let nothing through, and tell nobody."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def heal(self) -> None:
        """Let everything through again."""
        self.latency_s, self.lost_replies = 0.0, 0
        self._loop.call_soon_threadsafe(self._open.set)

    def reset(self) -> None:
        """Cut all connections, as a router that restarts does."""
        self._loop.call_soon_threadsafe(self._cut, frozenset(self._writers))

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._connected, sock=self._socket)
        self._started.set()
        await self._over.wait()
        server.close()
        self._cut(frozenset(self._writers))

    async def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError, asyncio.CancelledError):
            server_reader, server_writer = await self._connect()
            self._writers.add(server_writer)
            pair = frozenset({writer, server_writer})
            try:
                await asyncio.wait(
                    {
                        asyncio.create_task(self._pass_on(reader, server_writer)),
                        asyncio.create_task(self._pass_back(server_reader, writer)),
                    },
                    return_when=asyncio.FIRST_COMPLETED,
                )
            finally:
                self._cut(pair)
        self._cut(frozenset({writer}))

    async def _connect(self) -> tuple[StreamReader, StreamWriter]:
        if isinstance(self.upstream, int):
            return await asyncio.open_connection("127.0.0.1", self.upstream)
        return await asyncio.open_unix_connection(self.upstream)

    async def _pass_on(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._travel()
                writer.write(chunk)
                await writer.drain()

    async def _pass_back(self, reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                if self.lost_replies > 0:
                    self.lost_replies -= 1
                    return
                await self._travel()
                writer.write(chunk)
                await writer.drain()

    async def _travel(self) -> None:
        await self._open.wait()
        if self.latency_s:
            await asyncio.sleep(self.latency_s)

    def _cut(self, writers: frozenset[StreamWriter]) -> None:
        for writer in writers & self._writers:
            self._writers.discard(writer)
            found: socket.socket | None = writer.get_extra_info("socket")
            if found is not None and found.family == socket.AF_INET:
                with suppress(OSError):
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
            writer.transport.abort()
