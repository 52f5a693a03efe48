"""The gateway's composition root: settings and a queue in, an application out."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from app import problems
from app.fleet import FleetReader
from app.middleware import BodyLimit, Envelope
from app.routes import router
from app.service import Service
from app.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.contract.ports import GatewayQueue
    from app.settings import Settings


def create_app(settings: Settings, queue: GatewayQueue) -> FastAPI:
    """Build the gateway around a queue that somebody else opens and closes."""
    telemetry = Telemetry()
    telemetry.serves(settings.models)
    fleet = FleetReader(queue, settings.fleet_ttl_ms / 1000, time.perf_counter)
    service = Service(queue, settings, telemetry, fleet)
    app = FastAPI(title="blockcache", lifespan=_lifespan, docs_url=None, redoc_url=None)
    app.state.service = service
    app.include_router(router)
    problems.install(app)
    # The last one added is the outermost.
    app.add_middleware(
        BodyLimit, max_bytes=settings.max_body_bytes, timeout_s=settings.body_timeout_s
    )
    app.add_middleware(Envelope, telemetry=telemetry)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await app.state.service.close()
