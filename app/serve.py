"""Runs the gateway on a port of its own until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from app.contract.connection import check_store
from app.contract.errors import StoreForgets, StoreUnavailable
from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.settings import QueueSettings
from app.contract.tracing import OFF, open_tracing
from app.errors import PortTaken, SettingsError
from app.main import create_app, fronted
from app.settings import is_loopback
from app.telemetry import JsonLines
from app.wire import GatheringProtocol

if TYPE_CHECKING:
    from app.contract.ports import GatewayQueue
    from app.contract.tracing import Tracing
    from app.feeds import Feeds
    from app.settings import Settings

LOG = logging.getLogger("blockcache.gateway")
SERVICE = "blockcache-gateway"
LOOK_EVERY_S = 1.0


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; raises PortTaken or SettingsError in one sentence."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"host {host} is no address to listen on: {error}") from error
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise _why_not(error, host, port) from error
    return bound


def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way.

    Raises PortTaken, TracingUnavailable, or StoreForgets, also when a store that was away at the
    start turns out to be one that evicts.
    """
    with (
        bind(settings.host, settings.port) as bound,
        closing(open_tracing(settings.otlp_endpoint, SERVICE)) as tracing,
    ):
        log_as_json(tracing=tracing)
        warn_if_open(settings)
        seen = _look_at_store(settings.store_url)
        # uvicorn raises the signal again once it has stopped; by then it has been obeyed.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        uvloop.run(serve(settings, bound, tracing, seen=seen))


def server(settings: Settings, queue: GatewayQueue, tracing: Tracing = OFF) -> uvicorn.Server:
    """Return the configured server around a new application."""
    app = create_app(settings, queue, tracing)
    config = uvicorn.Config(
        fronted(app, settings, queue, tracing),
        http=GatheringProtocol,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_grace_s)),
    )
    return _Server(config, app.state.feeds)


class _Server(uvicorn.Server):
    """Ends streams of events before it waits for open requests, as they end with a job only."""

    def __init__(self, config: uvicorn.Config, feeds: Feeds) -> None:
        super().__init__(config)
        self._feeds = feeds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._feeds.close()
        await super().shutdown(sockets)


def log_as_json(level: int = logging.INFO, tracing: Tracing = OFF) -> None:
    """Send the logs of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(tracing.trace_id))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # What no line tells need not be found out for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 so the manual of logging says


def warn_if_open(settings: Settings) -> None:
    """Say in the log that other machines are let in without keys, where that is so."""
    if settings.allow_anonymous and not is_loopback(settings.host):
        LOG.warning("whoever reaches %s may ask for pictures: no keys are used", settings.host)


async def serve(
    settings: Settings, bound: socket.socket, tracing: Tracing = OFF, *, seen: bool
) -> None:
    """Serve on a bound socket until told to stop; `seen`: the store was looked at before.

    Raises StoreForgets.
    """
    queue = RedisGatewayQueue.connect(
        settings.store_url, QueueSettings(max_jobs=settings.queue_cap)
    )
    serving = server(settings, queue, tracing)
    looking = asyncio.create_task(_look_for_store(settings.store_url, serving, seen=seen))
    try:
        await serving.serve(sockets=[bound])
    finally:
        looking.cancel()
        await asyncio.wait({looking})
        await queue.aclose()
    if not looking.cancelled():
        looking.result()


async def _look_for_store(url: str, serving: uvicorn.Server, *, seen: bool) -> None:
    """Look at the store until it was seen; one that evicts ends the serving."""
    try:
        while not seen:
            await asyncio.sleep(LOOK_EVERY_S)
            seen = await asyncio.to_thread(_look_at_store, url, logging.DEBUG)
    except StoreForgets:
        serving.should_exit = True
        raise


def _look_at_store(url: str, level: int = logging.WARNING) -> bool:
    """Return whether the store was seen: one that is away may come back. Raises StoreForgets."""
    try:
        check_store(url)
    except StoreForgets:
        raise
    except StoreUnavailable as error:
        LOG.log(level, "not ready: %s", error)
        return False
    return True


def _why_not(error: OSError, host: str, port: int) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(
            f"Port {port} is taken; choose another with PORT=… / --port … (make run PORT=8001)."
        )
    return SettingsError(f"cannot listen on {host}:{port}: {error.strerror}")
