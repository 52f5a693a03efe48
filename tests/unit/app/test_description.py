"""What the API description says beside what the framework knows by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.contract.gateway_queue import RedisGatewayQueue
from app.contract.settings import QueueSettings
from app.description import ALSO, methods_at
from app.main import create_app
from app.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

NOWHERE = "unix:///nowhere"


@pytest.fixture
async def app() -> FastAPI:
    queue = RedisGatewayQueue.connect(NOWHERE, QueueSettings())
    return create_app(Settings(store_url=NOWHERE), queue)


def responses(app: FastAPI, path: str, method: str = "post") -> dict[str, Any]:
    found: dict[str, Any] = app.openapi()["paths"][path][method]["responses"]
    return found


def test_what_is_described_besides_is_at_addresses_that_there_are(app: FastAPI) -> None:
    for path, method in ALSO:
        assert responses(app, path, method)


def test_a_picture_a_job_and_a_stream_are_described(app: FastAPI) -> None:
    generate = responses(app, "/generate")

    assert {"application/json", "image/png", "image/webp"} <= set(generate["200"]["content"])
    assert "application/json" in generate["202"]["content"]
    assert "202" in responses(app, "/jobs/{job_id}", "delete")
    streamed = responses(app, "/v1/images/generations")["200"]["content"]
    assert set(streamed) == {"application/json", "text/event-stream"}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/plan", "application/problem+json"),
        ("/v1/images/generations", "application/json"),
        ("/sdapi/v1/options", "application/json"),
    ],
)
def test_errors_are_described_as_each_api_words_them(app: FastAPI, path: str, kind: str) -> None:
    for status in ("4XX", "5XX"):
        assert set(responses(app, path)[status]["content"]) == {kind}
    assert "HTTPValidationError" not in repr(responses(app, path))


def test_all_methods_of_an_address_are_known(app: FastAPI) -> None:
    assert methods_at(app, "/jobs/some-id") == {"GET", "DELETE"}
    assert methods_at(app, "/nowhere") == set()
