"""Servers to measure side by side: how each is installed, started, asked and ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import psutil

from app.errors import ServiceError
from app.open_loop import MOST_AT_ONCE
from tests.bench.engines import peers_quality

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.bench.engines import Engine

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
START_S = 300.0
FIRST_MS = 30_000.0
WISH = "a red heart"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is asked for one picture at a time, or for `several`.

    In its command `{bin}` stands for its environment's programs, `{port}` for where to listen,
    `{s}` and `{ms}` for how long a caller is waited for. Peers have a `package` to install. What
    does not end within `end_s` is killed.
    """

    name: str
    port: int
    command: tuple[str, ...]
    package: str = ""
    path: str = "/predict"
    several: bool = False
    end_s: float = 12.0

    def body(self, prompt: str, budget_ms: float, **more: Any) -> dict[str, Any]:
        """Return what asks for one picture; only this service understands more."""
        if not self.package:
            return {"prompt": prompt, "latency_budget_ms": budget_ms, **more}
        return {"prompts": [prompt]} if self.several else {"prompt": prompt}


OWN = Server(
    "blockcache", 18200,
    (sys.executable, "-m", "tests.bench.own", "{port}", "{data}", "{engine}", "{model}"),
    path="/generate", end_s=45.0,
)  # fmt: skip
PEERS = (
    Server(
        "litserve", 18201, ("{bin}/python", "litserve_server.py", "{port}", "{s}"), "litserve"
    ),
    Server(
        "mosec", 18202,
        ("{bin}/python", "mosec_server.py", "--port", "{port}", "--address", "127.0.0.1",
         "--timeout", "{ms}"),
        "mosec", path="/inference",
    ),
    Server(
        "bentoml", 18203,
        ("{bin}/bentoml", "serve", "bentoml_server:Maker", "--host", "127.0.0.1",
         "--port", "{port}"),
        "bentoml", several=True,
    ),
    Server("ray", 18204, ("{bin}/python", "ray_server.py", "{port}", "{s}"), "ray[serve]"),
)  # fmt: skip


def install(peer: Server, folder: Path) -> None:
    """Make an environment for a peer; it borrows torch and diffusers from this one."""
    place = folder / peer.name
    if not (place / "bin" / "pip").exists():
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
    quiet = ("-q", "--disable-pip-version-check")
    subprocess.run([place / "bin" / "pip", "install", *quiet, peer.package], check=True)
    (site,) = (place / "lib").glob("python*/site-packages")
    # A path from a file comes last: what the peer has installed itself goes first.
    (site / "borrowed.pth").write_text(f"{Path(sysconfig.get_path('purelib')).resolve()}\n")


class Running:
    """A server that has been started: asks it, and tells what it uses."""

    def __init__(self, server: Server, process: psutil.Process) -> None:
        self.server = server
        self.url = f"http://127.0.0.1:{server.port}"
        self._process = process
        limits = httpx.Limits(max_connections=MOST_AT_ONCE)
        self._http = httpx.Client(base_url=self.url, limits=limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def generate(self, prompt: str, latency_budget_ms: float, **more: Any) -> dict[str, Any]:
        """Return a picture; raises ServiceError, when the budget is over too: the caller leaves."""
        more.pop("response_format", None)  # all of them send the picture itself
        body = self.server.body(prompt, latency_budget_ms, **more)
        try:
            answer = self._http.post(self.server.path, json=body, timeout=latency_budget_ms / 1000)
        except httpx.HTTPError as error:
            raise ServiceError(type(error).__name__) from error
        if answer.status_code != httpx.codes.OK:
            raise ServiceError(str(answer.status_code), answer.status_code)
        if self.server.package:
            return {"plan": {"quality": {"value": peers_quality()}}, "batch_size": 0}
        told: dict[str, Any] = answer.json()
        return told

    def cpu_s(self) -> float:
        """Return the processor time of all its processes so far."""
        spent_s = 0.0
        for process in (self._process, *self._process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                spent_s += times.user + times.system
        return spent_s


@contextmanager
def serving(
    server: Server, folder: Path, engine: Engine, patience_s: float, data: Path
) -> Iterator[Running]:
    """Run a server until the end of the context; yields once it has answered."""
    words = {"bin": folder / server.name / "bin", "port": server.port, "data": data}
    words |= {"s": f"{patience_s:g}", "ms": round(patience_s * 1000)}
    words |= {"engine": engine.name, "model": engine.model}
    command = [part.format(**words) for part in server.command]
    data.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(data / "store", ignore_errors=True)  # jobs of an earlier run
    log = data / f"{server.name}.log"
    with log.open("wb") as lines:
        process = psutil.Popen(
            command, cwd=HERE if server.package else ROOT, stdout=lines, stderr=lines,
            env=_environment(patience_s, engine.for_peers()), start_new_session=True,
        )  # fmt: skip
        try:
            with Running(server, process) as running:
                _wait_until_answering(running, process, log)
                yield running
        finally:
            _end(process, server.end_s)


def _environment(patience_s: float, work: Mapping[str, str]) -> dict[str, str]:
    own = {"BENCH_PATIENCE_S": f"{patience_s:g}", "PYTHONUNBUFFERED": "1", **work}
    own |= {"BENTOML_DO_NOT_TRACK": "True", "RAY_USAGE_STATS_ENABLED": "0"}
    return {**os.environ, **own}


def _wait_until_answering(running: Running, process: psutil.Popen, log: Path) -> None:
    until_s = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < until_s:
        with suppress(ServiceError):
            running.generate(WISH, FIRST_MS)
            return
        time.sleep(0.2)
    raise ServiceError(
        f"{running.server.name} did not start: {log.read_text(errors='replace')[-2000:]}"
    )


def _end(process: psutil.Popen, end_s: float) -> None:
    """End a server with all it started, some of which may have a session of their own."""
    started = process.children(recursive=True) if process.is_running() else []
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(psutil.TimeoutExpired):
        process.wait(end_s)
    for left in (process, *started):
        with suppress(psutil.NoSuchProcess):
            left.kill()
    process.wait()
