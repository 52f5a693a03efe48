"""A wire between browser and gateway that can be cut."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES = 65_536


@dataclass(slots=True)
class Wire:
    """Passes connections on to `target`; `cut` ends all there are and refuses new ones."""

    target: tuple[str, int]
    listener: socket.socket
    open: bool = True
    ends: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where the browser goes."""
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def cut(self) -> None:
        """End every connection now."""
        self.open = False
        for end in self.ends:
            _shut(end)
        self.ends.clear()

    def mend(self) -> None:
        """Let connections through again."""
        self.open = True

    def accept(self) -> None:
        """Pass connections on until the listener is closed."""
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                self._join(near)

    def _join(self, near: socket.socket) -> None:
        if not self.open:
            _shut(near)
            return
        far = socket.create_connection(self.target)
        self.ends += [near, far]
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


@contextmanager
def wire_to(url: str) -> Iterator[Wire]:
    """Give a wire to the service at `url`."""
    parts = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire((str(parts.hostname), parts.port or 80), listener)
        thread = threading.Thread(target=wire.accept)
        thread.start()
        try:
            yield wire
        finally:
            wire.cut()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(CHUNK_BYTES):
            sink.sendall(chunk)
    _shut(source)
    _shut(sink)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
