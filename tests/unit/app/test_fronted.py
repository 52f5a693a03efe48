"""What callers meet when the gateway itself fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest

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
