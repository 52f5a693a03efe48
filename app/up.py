"""Everything on one machine: embedded store, one worker and the gateway, until told to stop."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.client import Client
from app.errors import ChildDied, PortTaken, ServiceError
from app.serve import bind
from app.store import LAUNCHER, EmbeddedStore
from app.terminal import console

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    Processes = Mapping[str, Sequence[str]]

HOST = "127.0.0.1"
METRICS_PORT = 9101
POLL_S = 0.2
STOP_GRACE_S = 40.0  # a worker may take 30 s to finish what it is making
LAST_LINES = 12


@dataclass(frozen=True, slots=True)
class Child:
    """A process started here, and where it writes its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise ChildDied with its last lines when it has ended."""
        code = self.process.poll()
        if code is not None:
            raise ChildDied(
                f"the {self.name} ended with code {code}. Its last lines:\n{self.tail()}"
            )

    def tail(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text("utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-LAST_LINES:]) or "  (it left no message)"


def own_processes(
    port: int, model: str, store_url: str, otlp_endpoint: str | None = None
) -> Processes:
    """Return the command lines of the worker and the gateway, by name.

    A second service on one machine must not fail for the first one's metrics port.
    """
    program = (sys.executable, "-m", "app.cli")
    traces = ("--otlp-endpoint", otlp_endpoint) if otlp_endpoint else ()
    both = ("--store-url", store_url, *traces)
    return {
        "worker": (*program, "worker", "--model", model, *both, "--metrics-port", _metrics_port()),
        "gateway": (*program, "gateway", "--host", HOST, "--port", str(port), *both),
    }


def _metrics_port() -> str:
    for port in (METRICS_PORT, 0):
        with suppress(PortTaken), bind(HOST, port) as probe:
            return str(probe.getsockname()[1])
    return "0"


def run_all(port: int, data: Path, processes: Callable[[str], Processes]) -> None:
    """Start the store and all `processes` on it, say when they are ready, stop on SIGINT, SIGTERM.

    Raises PortTaken, StoreUnavailable or ChildDied, with everything stopped.
    """
    screen = console()
    bind(HOST, port).close()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _stop_signals(), ExitStack() as running:
        screen.print(f"logs and store: {data}", soft_wrap=True)
        store = running.enter_context(EmbeddedStore(data / "store"))
        children = [
            running.enter_context(_child(name, arguments, data))
            for name, arguments in processes(store.url).items()
        ]
        try:
            _wait_until_ready(children, port, screen)
            _say_ready(port, screen)
            _watch(children)
        except KeyboardInterrupt:
            screen.print("stopping …")


@contextmanager
def _child(name: str, arguments: Sequence[str], data: Path) -> Iterator[Child]:
    path = data / f"{name}.log"
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(os.getpid())]
    with path.open("wb") as log:
        # A session of its own: Ctrl-C in the terminal reaches this process only, which then
        # stops the others in order.
        process = subprocess.Popen(  # noqa: S603 our own command line
            [*launcher, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield Child(name, process, path)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_ready(children: Sequence[Child], port: int, screen: Console) -> None:
    with Client(f"http://{HOST}:{port}") as client, screen.status("starting …") as status:
        started_s = time.monotonic()
        while not client.is_ready():
            for child in children:
                child.check()
            waited_s = time.monotonic() - started_s
            status.update(f"loading the model and making a warm-up picture … {waited_s:.0f} s")
            time.sleep(POLL_S)


def _watch(children: Sequence[Child]) -> None:
    while True:
        for child in children:
            child.check()
        time.sleep(POLL_S)


def _say_ready(port: int, screen: Console) -> None:
    url = f"http://{HOST}:{port}"
    minima: list[float] = []
    # Where keys are configured and none is in the environment, the example has a usual budget.
    with Client(url, key=os.environ.get("BLOCKCACHE_KEY", "")) as client, suppress(ServiceError):
        minima = [offer["minimum_latency_ms"] for offer in client.plans()]
    # Enough for a good plan here, in whole seconds.
    budget_ms = math.ceil(3 * max(minima, default=1000) / 1000) * 1000
    screen.print(f"ready: [bold]{url}[/bold]", highlight=False)
    wish = f'{{"prompt": "a smiling cat", "latency_budget_ms": {budget_ms}}}'
    curl = (
        f"curl -sS {url}/generate -H 'Content-Type: application/json' "
        f"-H 'Accept: image/png' -d '{wish}' -o cat.png"
    )
    screen.print(curl, soft_wrap=True, markup=False, highlight=False)
    screen.print("stop with Ctrl-C")


@contextmanager
def _stop_signals() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C while the block runs."""

    def stop(*_: object) -> None:
        # A second signal must not interrupt the stopping itself.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {n: signal.signal(n, stop) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
