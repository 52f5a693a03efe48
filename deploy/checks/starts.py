"""The gateway's start: how long it takes, without keys, and with a collector of traces."""

from __future__ import annotations

import json
import statistics
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from deploy.checks.gateway import Gateway, ask
from deploy.checks.project import (
    FILES,
    LOOPBACK,
    PROJECT,
    URL,
    container,
    makes_pictures,
    published,
    run,
    say,
    seconds_until,
    up,
    wait_for,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

COLD_START_S = 3.0
READINGS = 5
TRACED = (b"blockcache-gateway", b"blockcache-worker")


def check_cold_start(gateway: Gateway) -> None:
    """See the gateway answer soon after the command that starts its stopped container."""
    took_s = sorted(cold_start_s(gateway) for _ in range(READINGS))
    median_s = statistics.median(took_s)
    told = f"{median_s:.2f} s ({took_s[0]:.2f} to {took_s[-1]:.2f}, {READINGS} times)"
    say(f"the gateway is ready after {told}")
    if median_s > COLD_START_S:
        sys.exit(f"not within {COLD_START_S:.0f} s")


def cold_start_s(gateway: Gateway) -> float:
    """Return how long a stopped gateway takes until it is ready, podman's part included."""
    name = container("gateway")
    run("podman", "stop", name)
    started = threading.Thread(target=run, args=("podman", "start", name))
    started.start()
    took_s = seconds_until("the gateway is ready", gateway.is_ready, 30, every_s=0.02)
    started.join()
    return took_s


def check_traces(gateway: Gateway) -> None:
    """See spans of gateway and worker arrive where BLOCKCACHE_OTLP_ENDPOINT says."""
    with collector(host_inside()) as (url, received):
        up("gateway", "worker-cpu", BLOCKCACHE_OTLP_ENDPOINT=url)
        wait_for("ready with tracing", gateway.is_ready, 120)
        wait_for("a traced picture", lambda: makes_pictures(gateway), 60)

        def all_told() -> bool:
            return all(any(name in body for body in received) for name in TRACED)

        wait_for("spans of gateway and worker arrive", all_told, 30)


def host_inside() -> str:
    """Return the address of this machine on the stack's inner network."""
    (network,) = json.loads(run("podman", "network", "inspect", f"{PROJECT}_inside"))
    return str(network["subnets"][0]["gateway"])


@contextmanager
def collector(host: str) -> Iterator[tuple[str, list[bytes]]]:
    """Take what is sent by OTLP over HTTP; yield where to, and what has come."""
    received: list[bytes] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((host, 4318), Taking) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://{host}:4318", received
        finally:
            server.shutdown()


def check_anonymous() -> None:
    """See pictures made without a key, and only for this machine, as deploy/anonymous.yml says."""
    up("gateway", files=(*FILES, "deploy/anonymous.yml"), BIND="0.0.0.0")  # noqa: S104 what must not count
    nobody = Gateway(URL, "")
    wait_for("without keys, where that is asked for: ready", nobody.is_ready, 60)
    if published() != [LOOPBACK]:
        sys.exit(f"published: {published()}")
    status, _ = ask(f"{URL}/generate", {"prompt": "red apple", "latency_budget_ms": 20_000})
    if status != 200:
        sys.exit(f"answered {status} where no key is needed")
    say("a picture without a key, on loopback whatever BIND says")
