"""The service as its users meet it: real processes, the bundled model, real pictures."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections import Counter
from io import BytesIO
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
import redis
from PIL import Image

from app.contract.keys import Keys
from tests.bundled import SIDE
from tests.e2e.processes import CLI, START_S
from tests.integration.gateways import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.e2e.processes import Service

AMPLE_MS = 60_000
JOBS = 20


def generate(running: Service, **body: Any) -> dict[str, Any]:
    with running.http() as client:
        request = {"prompt": "red apple", "latency_budget_ms": AMPLE_MS, "seed": 7, **body}
        response = client.post("/generate", json=request)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB"))


def first_picture(answer: dict[str, Any]) -> NDArray[np.uint8]:
    return pixels(base64.b64decode(answer["images"][0]["b64_json"]))


def test_a_red_apple_is_mostly_red_on_white(running: Service) -> None:
    picture = first_picture(generate(running)).astype(int)
    centre = picture[24:40, 24:40].mean((0, 1))

    assert picture.shape == (SIDE, SIDE, 3)
    assert picture[:6, :6].mean() > 200
    assert centre[0] > centre[1] + 40
    assert centre[0] > centre[2] + 40


def test_the_same_seed_gives_the_same_picture(running: Service) -> None:
    first, second = (first_picture(generate(running, seed=11)) for _ in range(2))

    assert np.abs(first.astype(int) - second.astype(int)).max() <= 1


def test_another_seed_gives_another_picture(running: Service) -> None:
    first, second = (first_picture(generate(running, seed=seed)) for seed in (11, 12))

    assert not np.array_equal(first, second)


def test_a_short_budget_gets_a_cheaper_plan(running: Service) -> None:
    with running.http() as client:
        frontier = client.get("/plans").json()["frontiers"][0]
    # However far the machine strays, so little more never buys the best plan.
    short_ms = frontier["minimum_latency_ms"] + 25
    short, ample = generate(running, latency_budget_ms=short_ms), generate(running)

    assert short["plan"]["predicted_ms"] < ample["plan"]["predicted_ms"]
    assert short["plan"]["quality"]["value"] < ample["plan"]["quality"]["value"]


def test_counts_cover_every_unit_at_every_step(running: Service) -> None:
    answer = generate(running)
    cache = answer["cache"]
    executions = cache["computed"] + cache["reused"] + cache["skipped"]

    assert executions % answer["plan"]["steps"] == 0
    assert cache["hit_ratio"] == pytest.approx(1 - cache["computed"] / executions, abs=1e-4)


def test_measured_stages_lie_within_the_total(running: Service) -> None:
    timing = generate(running)["timing"]
    stages = ("queue_ms", "encode_ms", "denoise_ms", "decode_ms", "png_ms")

    assert all(timing[stage] > 0 for stage in stages[1:])
    assert sum(timing[stage] for stage in stages) <= timing["total_ms"] + 1


def test_several_pictures_of_one_request_are_one_batch(running: Service) -> None:
    answer = generate(running, num_images=2, seed=21)
    alone = first_picture(generate(running, seed=21))

    assert answer["batch_size"] == 2
    assert [image["seed"] for image in answer["images"]] == [21, 22]
    assert np.abs(first_picture(answer).astype(int) - alone.astype(int)).max() <= 2


def test_the_command_line_writes_a_picture(running: Service, tmp_path: Path) -> None:
    target = tmp_path / "apple.png"
    options = ["--budget-ms", str(AMPLE_MS), "-o", str(target), "--url", running.url]
    subprocess.run([*CLI, "generate", "red apple", *options], check=True, capture_output=True)

    assert pixels(target.read_bytes()).shape == (SIDE, SIDE, 3)


def test_worker_metrics_are_well_formed_and_count_pictures(running: Service) -> None:
    generate(running)
    text = httpx.get(running.worker_metrics_url).text

    assert 'blockcache_images_total{model="emoji-small"' in text
    assert 'blockcache_block_executions_total{model="emoji-small",result="reused"}' in text
    promtool = shutil.which("promtool")
    if promtool:
        check = [promtool, "check", "metrics"]
        found = subprocess.run(check, input=text, text=True, capture_output=True, check=False)
        assert found.returncode == 0, found.stderr + found.stdout


def submit(client: httpx.Client, seed: int) -> str:
    body = {"prompt": "red apple", "latency_budget_ms": 600_000, "seed": seed}
    response = client.post("/generate", json=body, headers={"Prefer": "respond-async"})
    assert response.status_code == 202, response.text
    location: str = response.headers["Location"]
    return location


def announcements(pubsub: Any) -> Counter[bytes]:
    heard: Counter[bytes] = Counter()
    while message := pubsub.get_message(timeout=0.1):
        if message["type"] == "message":
            heard[message["data"]] += 1
    return heard


@pytest.mark.timeout(300)
def test_every_job_is_answered_once_though_a_worker_was_killed(running: Service) -> None:
    heard: Counter[bytes] = Counter()

    def ended() -> int:
        heard.update(announcements(pubsub))
        return len(heard)

    with running.http() as client, running.another_worker() as killed:
        wait_until(lambda: client.get("/readyz").json()["workers"] == 2, START_S)
        with redis.Redis.from_url(running.store_url) as store, store.pubsub() as pubsub:
            pubsub.subscribe(Keys().over)
            jobs = [submit(client, seed) for seed in range(JOBS)]
            wait_until(lambda: ended() >= 2, 60)
            killed.kill()
            wait_until(lambda: ended() == JOBS, 240)
            assert ended() == JOBS
        states = {client.get(job).json()["state"] for job in jobs}

    assert states == {"done"}
    assert set(heard.values()) == {1}
