"""The OpenAI Images API, asked by OpenAI's own client as it is."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest

from app.contract.jobs import Reason
from app.keys import new_key
from app.settings import Settings
from tests.builders import costs
from tests.integration.fake_worker import PREVIEW_SEED, FakeWorker, a_png
from tests.integration.gateways import running_gateway, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.settings import QueueSettings

PROMPT = "a smiling cat"
OFTEN, OFTENS = new_key("often", requests_per_minute=1)
MANY, MANYS = new_key("many", concurrent_jobs=1)
FAST = {"latency_budget_ms": 5000, "seed": 7}
WRONG: list[tuple[dict[str, Any], str | None, str]] = [
    ({"size": "63x64"}, "size", "64x64"),
    ({"size": "large"}, "size", "WIDTHxHEIGHT"),
    ({"n": 9}, "n", "at most 8"),
    ({"background": "transparent"}, "background", "one of 'auto' or 'opaque'"),
    ({"output_compression": 50}, "output_compression", "jpeg and webp"),
    ({"output_format": "gif"}, "output_format", "'png', 'jpeg' or 'webp'"),
    ({"partial_images": 2}, None, "stream"),
    ({"partial_images": 1, "stream": True, "n": 2}, None, "n must be 1"),
    ({"style": "vivid"}, "style", "not a field"),
    ({"extra_body": {"num_inference_steps": 1}}, "num_inference_steps", "4 steps"),
    ({"extra_body": {"guidance_scale": 99}}, "guidance_scale", "at most 30"),
]


@pytest.fixture
def client(gateway: httpx.Client) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.base_url}/v1", api_key="unused") as client:
        yield client


@pytest.fixture
def guarded(settings: Settings, queue_settings: QueueSettings) -> Iterator[str]:
    with running_gateway(replace(settings, keys=(OFTENS, MANYS)), queue_settings) as url:
        yield f"{url}/v1"


def refused(client: openai.OpenAI, kind: type[openai.APIStatusError], **wish: Any) -> Any:
    with pytest.raises(kind) as caught:
        client.images.generate(prompt=PROMPT, **wish)
    return caught.value


def test_a_picture_comes_as_base64_with_its_plan_and_seed(
    client: openai.OpenAI, worker: FakeWorker
) -> None:
    made = client.images.generate(prompt=PROMPT, n=2, size="64x64", extra_body=FAST)

    assert made.data is not None
    pictures = [base64.b64decode(image.b64_json or "") for image in made.data]
    assert pictures == [a_png(7), a_png(8)]
    assert (made.output_format, made.size, made.background) == ("png", "64x64", "opaque")
    extra: Any = made.model_extra
    assert extra["blockcache"]["budget"] == {"requested_ms": 5000, "met": True}


def test_every_field_that_models_of_openai_know_may_be_sent(
    client: openai.OpenAI, worker: FakeWorker
) -> None:
    made = client.images.generate(
        prompt=PROMPT,
        model="emoji",
        background="auto",
        moderation="low",
        quality="high",
        user="someone",
        output_format="jpeg",
        output_compression=40,
    )

    assert made.output_format == "jpeg"
    assert made.data
    assert base64.b64decode(made.data[0].b64_json or "").startswith(b"\xff\xd8\xff")


def test_a_picture_may_be_fetched_by_its_address(
    client: openai.OpenAI, gateway: httpx.Client, worker: FakeWorker
) -> None:
    made = client.images.generate(prompt=PROMPT, response_format="url", extra_body=FAST)

    assert made.data
    assert made.data[0].b64_json is None
    assert httpx.get(made.data[0].url or "").content == a_png(7)


def test_a_stream_shows_two_pictures_on_the_way_and_then_the_last(
    client: openai.OpenAI, worker: FakeWorker
) -> None:
    worker.gate.clear()
    wish: dict[str, Any] = {"stream": True, "partial_images": 2, "extra_body": FAST}
    events: Any = client.images.generate(prompt=PROMPT, **wish)
    seen = [next(events), next(events)]  # before the job is finished
    worker.gate.set()
    seen += list(events)

    assert [event.type for event in seen] == [
        *["image_generation.partial_image"] * 2,
        "image_generation.completed",
    ]
    assert [event.partial_image_index for event in seen[:2]] == [0, 1]
    pictures = [base64.b64decode(event.b64_json) for event in seen]
    assert pictures == [a_png(PREVIEW_SEED), a_png(PREVIEW_SEED + 1), a_png(7)]
    assert (seen[2].size, seen[2].usage.total_tokens) == ("64x64", 0)


def test_a_stream_that_fails_ends_with_an_error(
    gateway: httpx.Client, client: openai.OpenAI, store_url: str, queue_settings: QueueSettings
) -> None:
    with FakeWorker(store_url, queue_settings, failing=Reason.ERROR):
        events: Any = client.images.generate(prompt=PROMPT, stream=True, extra_body=FAST)
        with pytest.raises(openai.APIError, match="it went wrong") as caught:
            list(events)

    assert caught.value.code == "job_failed"


def test_leaving_a_stream_cancels_its_job(client: openai.OpenAI, worker: FakeWorker) -> None:
    worker.gate.clear()
    wish: dict[str, Any] = {"stream": True, "partial_images": 1, "extra_body": FAST}
    events: Any = client.images.generate(prompt=PROMPT, **wish)
    next(events)
    events.close()

    wait_until(lambda: bool(worker.cancelled))


def test_an_impossible_budget_is_told_the_smallest_that_would_do(
    client: openai.OpenAI, worker: FakeWorker
) -> None:
    for stream in (False, True):
        wish: dict[str, Any] = {"stream": stream, "extra_body": {"latency_budget_ms": 1}}
        error = refused(client, openai.BadRequestError, **wish)

        assert (error.param, error.code) == ("latency_budget_ms", "budget_too_small")
        assert error.body["minimum_latency_ms"] > 1


def test_a_wrong_key_is_an_authentication_error(guarded: str) -> None:
    with openai.OpenAI(base_url=guarded, api_key="bck_wrong") as client:
        error = refused(client, openai.AuthenticationError)

    assert (error.type, error.code) == ("authentication_error", "key_needed")
    assert "not known" in error.body["message"]


def test_asking_too_often_is_a_rate_limit_error(guarded: str, worker: FakeWorker) -> None:
    with openai.OpenAI(base_url=guarded, api_key=OFTEN, max_retries=0) as client:
        client.images.generate(prompt=PROMPT, extra_body=FAST)
        error = refused(client, openai.RateLimitError)

    assert (error.type, error.code) == ("rate_limit_error", "quota_exceeded")
    assert 0 < int(error.response.headers["retry-after"]) <= 60


def test_a_client_over_its_number_of_jobs_comes_back_by_itself(
    guarded: str, worker: FakeWorker
) -> None:
    statuses: list[int] = []

    def answered(response: Any) -> None:
        statuses.append(response.status_code)
        worker.gate.set()

    with openai.OpenAI(base_url=guarded, api_key=MANY) as client:
        worker.gate.clear()
        events: Any = client.images.generate(prompt=PROMPT, stream=True, extra_body=FAST)
        client._client.event_hooks = {"response": [answered]}
        made = client.images.generate(prompt=PROMPT, extra_body=FAST)
        events.close()

    assert made.data
    assert statuses == [429, 200]


def test_a_wrong_field_is_a_bad_request_about_it(client: openai.OpenAI, worker: FakeWorker) -> None:
    for wish, param, words in WRONG:
        error = refused(client, openai.BadRequestError, **wish)

        assert error.param == param, wish
        assert error.type == "invalid_request_error"
        assert words in error.body["message"], wish


def test_fewer_steps_than_the_best_plan_takes_are_kept_to(
    client: openai.OpenAI, worker: FakeWorker
) -> None:
    wish = {**FAST, "num_inference_steps": 5}
    made: Any = client.images.generate(prompt=PROMPT, extra_body=wish)

    assert made.blockcache["plan"]["steps"] == 4


def test_pictures_on_the_way_that_no_time_is_left_for_are_left_out(
    client: openai.OpenAI, worker: FakeWorker
) -> None:
    # So slow that what the gateway itself takes, however busy the machine, is less than a picture.
    worker.card = replace(worker.card, costs=costs(step_ms=50_000.0))
    worker.publish()
    impossible = {"latency_budget_ms": 1}
    least_ms = refused(client, openai.BadRequestError, extra_body=impossible).body[
        "minimum_latency_ms"
    ]
    shown = []
    for previews in (0, 2, 3):
        budget_ms = least_ms + (previews + 0.5) * worker.card.costs.preview_ms
        events: Any = client.images.generate(
            prompt=PROMPT,
            stream=True,
            partial_images=3,
            extra_body={"latency_budget_ms": budget_ms},
        )
        shown.append(len(list(events)) - 1)

    assert shown == [0, 2, 3]


def test_an_unknown_model_is_not_found(client: openai.OpenAI, worker: FakeWorker) -> None:
    error = refused(client, openai.NotFoundError, model="gpt-image-1")

    assert (error.param, error.code) == ("model", "model_not_found")
    assert "emoji" in error.body["message"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-image-1")


def test_models_are_listed_and_described(client: openai.OpenAI, worker: FakeWorker) -> None:
    (listed,) = client.models.list().data

    assert (listed.id, listed.object) == ("emoji", "model")
    assert client.models.retrieve("emoji") == listed


def test_a_missed_deadline_is_not_asked_for_again(
    store_url: str, queue_settings: QueueSettings
) -> None:
    settings = Settings(store_url=store_url, port=0, grace_ms=50)
    asked: list[Any] = []
    with (
        running_gateway(settings, queue_settings) as url,
        FakeWorker(store_url, queue_settings) as worker,
        openai.OpenAI(base_url=f"{url}/v1", api_key="unused") as client,
    ):
        worker.gate.clear()
        client._client.event_hooks = {"request": [asked.append]}
        error = refused(client, openai.InternalServerError, extra_body={"latency_budget_ms": 200})

    assert (error.status_code, error.code) == (504, "deadline_missed")
    assert error.response.headers["x-should-retry"] == "false"
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nowhere", 404), ("GET", "/v1/images/generations", 405)],
)
def test_wrong_addresses_answer_in_the_same_shape(
    gateway: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = gateway.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.headers["x-request-id"]


def test_a_body_too_long_is_refused_in_the_same_shape(gateway: httpx.Client) -> None:
    answer = gateway.post("/v1/images/generations", json={"prompt": "x" * 10_000_000})

    assert answer.status_code == 413
    assert "bytes" in answer.json()["error"]["message"]
