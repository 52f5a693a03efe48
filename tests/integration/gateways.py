"""Runs real gateways for tests, each on a port of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.tracing import OFF
from app.serve import bind, server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import uvicorn

    from app.contract.settings import QueueSettings
    from app.contract.tracing import Tracing
    from app.settings import Settings


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Return once the condition holds."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "the condition did not come true in time"
        time.sleep(0.01)


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running_gateway(
    settings: Settings, queue_settings: QueueSettings, tracing: Tracing = OFF
) -> Iterator[str]:
    """Run a gateway in a thread; yield its URL."""
    with bind(settings.host, settings.port) as bound:
        started: list[uvicorn.Server] = []
        serving = _serve(settings, queue_settings, bound, started, tracing)
        thread = threading.Thread(target=asyncio.run, args=(serving,))
        thread.start()
        wait_until(lambda: bool(started) and started[0].started)
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            started[0].should_exit = True
            thread.join(20)


async def _serve(
    settings: Settings,
    queue_settings: QueueSettings,
    bound: socket.socket,
    started: list[uvicorn.Server],
    tracing: Tracing,
) -> None:
    queue = RedisGatewayQueue.connect(settings.store_url, queue_settings)
    try:
        started.append(server(settings, queue, tracing))
        await started[0].serve(sockets=[bound])
    finally:
        await queue.aclose()
