"""The gateway's composition root: settings and a queue in, an application out."""

from __future__ import annotations

import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.middleware.cors import CORSMiddleware

from app import (
    compare_routes,
    description,
    job_routes,
    openai_images,
    plan_routes,
    problems,
    sdapi,
    status_routes,
)
from app.contract.tracing import OFF
from app.express import Express
from app.faces import Faces
from app.feeds import Feeds
from app.fleet import FleetReader
from app.guard import METRICS, OPEN, Guard
from app.hosts import KnownHosts
from app.keyring import Keyring
from app.middleware import BodyLimit, Envelope
from app.page import page_routes
from app.routes import router
from app.service import Service
from app.settings import is_loopback
from app.telemetry import Telemetry
from app.webhooks import Sender, Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi.telemetry import TelemetryConfig
    from starlette.types import ASGIApp

    from app.contract.ports import GatewayQueue
    from app.contract.tracing import Tracing
    from app.settings import Settings


# What a page of another origin may send and read, where it is let in at all.
ALLOWED_HEADERS = (
    "Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "Prefer", "X-API-Key",
    "X-Request-Id", "traceparent", "tracestate",
)  # fmt: skip
EXPOSED_HEADERS = (
    "Idempotent-Replayed", "Location", "Preference-Applied", "RateLimit", "RateLimit-Policy",
    "Retry-After", "Server-Timing", "X-Blockcache-Budget-Met", "X-Blockcache-Plan", "X-Job-Id",
    "X-Request-Id", "X-Trace-Id",
)  # fmt: skip

# What is told of requests is told by the gateway itself.
SILENT: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}


def create_app(settings: Settings, queue: GatewayQueue, tracing: Tracing = OFF) -> FastAPI:
    """Build the gateway around a queue that somebody else opens and closes."""
    telemetry = Telemetry()
    telemetry.serves(settings.models)
    fleet = FleetReader(queue, settings.fleet_ttl_ms / 1000, time.perf_counter)
    service = Service(queue, settings, telemetry, fleet, tracing=tracing)
    app = FastAPI(
        title="blockcache", lifespan=_lifespan, docs_url=None, redoc_url=None, telemetry=SILENT
    )
    app.state.service = service
    app.state.feeds = Feeds(queue, settings.max_event_streams, settings.heartbeat_s)
    app.state.webhooks = _webhooks(settings, queue, telemetry)
    for routes in (router, job_routes.router, openai_images.router, sdapi.router):
        app.include_router(routes)
    for routes in (plan_routes.router, status_routes.router, compare_routes.router, page_routes()):
        app.include_router(routes)
    description.install(app)
    problems.install(app)
    _build_routes(app)
    return app


def _build_routes(app: FastAPI) -> None:
    """Build what the framework would otherwise build in the time of the first request."""
    deque(iter_route_contexts(app.routes), maxlen=0)


def fronted(app: FastAPI, settings: Settings, queue: GatewayQueue, tracing: Tracing) -> ASGIApp:
    """Return an application as callers meet it.

    What stands before it is not its own middleware, which comes after the framework's: most
    requests go past both.
    """
    service: Service = app.state.service
    inner = BodyLimit(Express(app, service), settings.max_body_bytes, settings.body_timeout_s)
    served = Envelope(_protected(inner, settings, queue), service.telemetry, tracing)
    return Faces(served, (openai_images.FACE, sdapi.FACE))


def _webhooks(settings: Settings, queue: GatewayQueue, telemetry: Telemetry) -> Webhooks | None:
    if settings.webhook_secret is None:
        return None
    sender = Sender(settings.webhook_secret, settings.webhook_networks)
    return Webhooks(queue, sender, telemetry)


def _protected(app: ASGIApp, settings: Settings, queue: GatewayQueue) -> ASGIApp:
    if settings.with_keys:
        open_paths = OPEN if settings.metrics_need_key else OPEN | {METRICS}
        app = Guard(app, Keyring.of(settings), queue, open_paths)
    elif is_loopback(settings.host):
        app = KnownHosts(app, settings.allowed_hosts)
    if settings.cors_origins:
        # Outside the guard: a browser asks for permission without a key.
        app = CORSMiddleware(
            app,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=ALLOWED_HEADERS,
            expose_headers=EXPOSED_HEADERS,
        )
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    webhooks: Webhooks | None = app.state.webhooks
    if webhooks is not None:
        webhooks.start()
    try:
        yield
    finally:
        if webhooks is not None:
            await webhooks.aclose()
        app.state.feeds.close()
        await app.state.service.close()
