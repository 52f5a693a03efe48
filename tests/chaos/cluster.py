"""A service of real processes, each of which can be hurt: store, gateways, workers, network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack, suppress
from itertools import count
from typing import TYPE_CHECKING, Self
from unittest.mock import patch

import httpx

from app.store import EmbeddedStore
from tests.chaos.proxy import Proxy
from tests.e2e.processes import CLI
from tests.integration.gateways import free_port, wait_until

if TYPE_CHECKING:
    from pathlib import Path

GATEWAYS, WORKERS = 2, 2
START_S = 90.0
# A library that fakes the time of the process it is loaded into (Debian: libfaketime), if any.
FAKETIME = os.environ.get("CHAOS_FAKETIME", "")
WEBHOOKS = {
    "BLOCKCACHE_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=",
    "BLOCKCACHE_WEBHOOK_NETWORKS": "127.0.0.0/8",
}


class Cluster:
    """Two gateways and two workers before one store that keeps its data in `folder`.

    Gateways and workers each reach the store by a proxy of their own, and each gateway is reached
    by one. Whatever is killed is started
    again. Not for several threads at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._cleanup = ExitStack()
        self._names = (f"worker-{n}" for n in count(1))
        self._clock = folder / "clock"
        self._clock.write_text("+0\n")
        self.store = EmbeddedStore(self._data)
        self.ports = [free_port() for _ in range(GATEWAYS)]
        self.gateways: list[subprocess.Popen[bytes]] = []
        self.workers: list[int] = []

    @property
    def urls(self) -> list[str]:
        """Where callers reach the gateways."""
        return [f"http://{proxy.address}" for proxy in self.before_callers]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start_store()
            stack.callback(self._stop_store)
            upstream = self.store.url.removeprefix("unix://")
            self.before_gateways = stack.enter_context(Proxy(upstream))
            self.before_workers = stack.enter_context(Proxy(upstream))
            self.before_callers = [stack.enter_context(Proxy(port)) for port in self.ports]
            self._nursery = stack.enter_context(self._open_nursery())
            stack.callback(self._end_all)
            self.gateways = [self._start_gateway(n) for n in range(GATEWAYS)]
            self.workers = [self._start_worker() for _ in range(WORKERS)]
            wait_until(lambda: all(map(is_ready, self.urls)), START_S)
            self._cleanup = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    @property
    def proxies(self) -> tuple[Proxy, ...]:
        """The network: before the store, and before the gateways."""
        return self.before_gateways, self.before_workers, *self.before_callers

    def kill_gateway(self, number: int) -> None:
        """Kill -9 a gateway and start it again on its port."""
        self.gateways[number].kill()
        self.gateways[number].wait()
        self.gateways[number] = self._start_gateway(number)

    def kill_worker(self, number: int) -> None:
        """Kill -9 a worker and start another one."""
        os.kill(self.workers[number], signal.SIGKILL)
        self.workers[number] = self._start_worker()

    def restart_store(self) -> None:
        """Kill -9 the store and start it again on what it wrote to its append-only file."""
        os.kill(self.store.pid, signal.SIGKILL)
        self.store.stop()
        self.store = EmbeddedStore(self._data)
        self._start_store()
        for proxy in (self.before_gateways, self.before_workers):
            proxy.upstream = self.store.url.removeprefix("unix://")

    def set_clock(self, ahead_s: float) -> None:
        """Let the store's clock be so far ahead of the true time, or behind it."""
        self._clock.write_text(f"{ahead_s:+.3f}\n")

    def pause(self, pid: int, seconds: float) -> None:
        """Stop a process in the middle of whatever it does, and let it go on."""
        os.kill(pid, signal.SIGSTOP)
        threading.Event().wait(seconds)
        os.kill(pid, signal.SIGCONT)

    def _start_store(self) -> None:
        faked = {
            "LD_PRELOAD": FAKETIME,
            "FAKETIME_TIMESTAMP_FILE": str(self._clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with patch.dict(os.environ, faked if FAKETIME else {}):
            self.store.start()

    def _stop_store(self) -> None:
        self.store.stop()

    def _start_gateway(self, number: int) -> subprocess.Popen[bytes]:
        address = (
            "--store-url",
            f"redis://{self.before_gateways.address}",
            "--port",
            str(self.ports[number]),
        )
        command = [*CLI, "gateway", *address]
        with (self._folder / f"gateway-{number}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **WEBHOOKS})

    def _open_nursery(self) -> subprocess.Popen[str]:
        module = (sys.executable, "-m", "tests.chaos.nursery")
        places = (f"redis://{self.before_workers.address}", str(self._folder / "models"))
        pipe = subprocess.PIPE
        with (self._folder / "workers.log").open("ab") as log:
            return subprocess.Popen(
                [*module, *places], stdin=pipe, stdout=pipe, stderr=log, text=True
            )

    def _start_worker(self) -> int:
        nursery = self._nursery
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        nursery.stdin.write(next(self._names) + "\n")
        nursery.stdin.flush()
        return int(nursery.stdout.readline())

    def _end_all(self) -> None:
        for pid in self.workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for gateway in self.gateways:
            gateway.kill()
            gateway.wait()


def is_ready(url: str) -> bool:
    """Whether a gateway answers and sees a worker."""
    try:
        return httpx.get(f"{url}/readyz", timeout=2).is_success
    except httpx.HTTPError:
        return False
