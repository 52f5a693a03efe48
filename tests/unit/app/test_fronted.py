"""What callers meet when the gateway itself fails, and when it has only begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from pydantic import TypeAdapter

from app.contract.tracing import OFF
from app.main import create_app, fronted
from app.settings import Settings

if TYPE_CHECKING:
    from app.contract.ports import GatewayQueue

SETTINGS = Settings(store_url="unix:///nowhere")


class Broken:
    """A queue that nobody foresaw."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


@pytest.mark.parametrize("asked", [("GET", "/readyz"), ("POST", "/generate")])
async def test_what_nobody_foresaw_is_a_problem_too_and_tells_nothing(
    asked: tuple[str, str],
) -> None:
    queue = cast("GatewayQueue", Broken())
    app = fronted(create_app(SETTINGS, queue), SETTINGS, queue, OFF)
    over = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=over, base_url="http://localhost") as caller:
        answer = await caller.request(*asked, json={"prompt": "a cat", "latency_budget_ms": 100})

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "The gateway failed; the log says why."
    assert answer.headers["x-request-id"]


async def test_the_first_request_waits_for_no_route_to_be_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built = []
    build = TypeAdapter.__init__

    def counted(self: TypeAdapter[Any], *args: Any, **options: Any) -> None:
        built.append(args)
        build(self, *args, **options)

    monkeypatch.setattr(TypeAdapter, "__init__", counted)
    app = create_app(SETTINGS, cast("GatewayQueue", Broken()))
    beforehand = len(built)
    over = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=over, base_url="http://localhost") as caller:
        answer = await caller.get("/nowhere-to-be-found")

    assert answer.status_code == 404
    assert len(built) == beforehand > 0
