"""AUTOMATIC1111's API, with the bodies its clients send."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.fake_worker import PREVIEW_SEED, a_png
from tests.integration.gateways import wait_until

if TYPE_CHECKING:
    import httpx

    from tests.integration.fake_worker import FakeWorker

WISH: dict[str, Any] = {"prompt": "a cat", "seed": 7, "latency_budget_ms": 5000}
# What a client of AUTOMATIC1111 sends when nothing special is asked for.
FULL: dict[str, Any] = {
    "enable_hr": False, "denoising_strength": 0.7, "firstphase_width": 0, "firstphase_height": 0,
    "hr_scale": 2, "hr_upscaler": "Latent", "hr_second_pass_steps": 0, "hr_resize_x": 0,
    "hr_resize_y": 0, "prompt": "a cat", "styles": [], "seed": -1, "subseed": -1,
    "subseed_strength": 0.0, "seed_resize_from_h": 0, "seed_resize_from_w": 0, "batch_size": 1,
    "n_iter": 1, "steps": 20, "cfg_scale": 7.0, "width": 64, "height": 64,
    "restore_faces": False, "tiling": False, "do_not_save_samples": False,
    "do_not_save_grid": False, "negative_prompt": "", "eta": 0, "s_churn": 0, "s_tmax": 0,
    "s_tmin": 0, "s_noise": 1, "override_settings": {},
    "override_settings_restore_afterwards": True, "sampler_name": "DPM++ 2M",
    "scheduler": "Automatic", "script_args": [], "script_name": None, "send_images": True,
    "save_images": False, "alwayson_scripts": {},
}  # fmt: skip

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"prompt": " "}, "prompt: must say something"),
    ({"width": 512, "height": 512}, "64x64"),
    ({"steps": 3}, "steps: the shortest plan takes 4"),
    ({"batch_size": 3, "n_iter": 3}, "batch_size: must be at most 8"),
    ({"sampler_name": "Euler a"}, "sampler_name: no plan uses it; there is: DPM++ 2M"),
    ({"scheduler": "Karras"}, "scheduler: is not supported here"),
    ({"enable_hr": True}, "enable_hr: is not supported here; leave it out or send false"),
    ({"styles": ["anime"]}, "styles: is not supported"),
    ({"alwayson_scripts": {"controlnet": {}}}, "alwayson_scripts: is not supported"),
    ({"init_images": ["x"]}, "init_images: is not known here"),
    ({"override_settings": {"sd_model_checkpoint": "v1-5"}}, "sd_model_checkpoint: no live"),
    ({"override_settings": {"samples_format": "gif"}}, "samples_format: must be one of"),
    ({"override_settings": {"CLIP_stop_at_last_layers": 2}}, "CLIP_stop_at_last_layers"),
    ({"cfg_scale": 0.5}, "cfg_scale: must be at least 1"),
    ({"latency_budget_ms": 1}, "ask for at least that"),
]


def txt2img(gateway: httpx.Client, **changes: Any) -> dict[str, Any]:
    answer = gateway.post("/sdapi/v1/txt2img", json={**WISH, **changes})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


class InBackground(threading.Thread):
    """A request that somebody else waits for."""

    def __init__(self, gateway: httpx.Client, headers: dict[str, str], **changes: Any) -> None:
        super().__init__()
        self._ask = lambda: gateway.post(
            "/sdapi/v1/txt2img", json={**WISH, **changes}, headers=headers
        )
        self.answer: httpx.Response | None = None
        self.start()

    def run(self) -> None:
        self.answer = self._ask()


def progress(
    gateway: httpx.Client, caller: str = "", task: str = "", **more: Any
) -> dict[str, Any]:
    headers, query = {"Authorization": caller}, {"id_task": task, **more}
    found: dict[str, Any] = gateway.get("/sdapi/v1/progress", headers=headers, params=query).json()
    return found


def test_a_full_body_of_a_usual_client_makes_a_picture(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    made = txt2img(gateway, **FULL)

    info = json.loads(made["info"])
    assert base64.b64decode(made["images"][0]) == a_png(info["seed"])
    assert made["parameters"]["hr_upscaler"] == "Latent"
    assert (info["sampler_name"], info["cfg_scale"], info["steps"]) == ("DPM++ 2M", 7.0, 8)
    assert (info["width"], info["height"], info["sd_model_name"]) == (64, 64, "emoji")


def test_batches_are_one_request_whose_seeds_count_up(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    made = txt2img(gateway, batch_size=2, n_iter=2)

    info = json.loads(made["info"])
    assert info["all_seeds"] == [7, 8, 9, 10]
    assert [base64.b64decode(image) for image in made["images"]] == [a_png(s) for s in range(7, 11)]
    assert "Seed: 10, Size: 64x64" in info["infotexts"][3]


def test_settings_of_one_request_may_be_overridden(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    title = gateway.get("/sdapi/v1/sd-models").json()[0]["title"]
    settings = {"sd_model_checkpoint": title, "samples_format": "jpg", "jpeg_quality": 50}
    made = txt2img(gateway, override_settings=settings)

    assert base64.b64decode(made["images"][0]).startswith(b"\xff\xd8\xff")


def test_steps_are_the_most_that_are_taken(gateway: httpx.Client, worker: FakeWorker) -> None:
    assert json.loads(txt2img(gateway, steps=5)["info"])["steps"] == 4


def test_pictures_may_be_left_out(gateway: httpx.Client, worker: FakeWorker) -> None:
    assert txt2img(gateway, send_images=False)["images"] == []


def test_what_cannot_be_done_is_refused_by_name(gateway: httpx.Client, worker: FakeWorker) -> None:
    for change, words in REFUSED:
        answer = gateway.post("/sdapi/v1/txt2img", json={**WISH, **change})
        said = answer.json()

        assert answer.status_code == 422, change
        assert set(said) - {"minimum_latency_ms"} == {"error", "detail", "body", "errors"}
        assert words in said["detail"], change


def test_progress_is_that_of_the_callers_own_job(gateway: httpx.Client, worker: FakeWorker) -> None:
    worker.gate.clear()
    mine = InBackground(gateway, {"Authorization": "mine"}, force_task_id="task-1")
    assert worker.holding.wait(30)
    wait_until(lambda: progress(gateway, "mine", "task-1")["state"]["sampling_step"] > 0)

    state = progress(gateway, "mine")["state"]
    assert (state["sampling_step"], state["sampling_steps"], state["job_count"]) == (1, 8, 1)
    assert progress(gateway, "other")["state"]["job_count"] == 0
    assert progress(gateway, "other", "task-1")["state"]["job_count"] == 0
    assert progress(gateway, "mine", "task-2")["state"]["job_count"] == 0
    worker.gate.set()
    mine.join(10)
    assert progress(gateway, "mine")["progress"] == 0


def test_progress_shows_the_latest_preview_of_who_asked_for_previews(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    worker.gate.clear()
    shown = {"override_settings": {"live_previews_enable": True}}
    mine = InBackground(gateway, {"Authorization": "mine"}, **shown)
    assert worker.holding.wait(30)

    seen = progress(gateway, "mine", skip_current_image=False)["current_image"]
    assert base64.b64decode(seen) == a_png(PREVIEW_SEED + worker.claimed[0].previews - 1)
    assert progress(gateway, "mine", skip_current_image=True)["current_image"] is None
    assert progress(gateway, "other", skip_current_image=False)["current_image"] is None
    worker.gate.set()
    mine.join(10)


def test_no_previews_are_made_for_who_did_not_ask(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    txt2img(gateway)
    assert worker.claimed[0].previews == 0


def test_an_interrupt_stops_the_callers_own_jobs_only(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    worker.gate.clear()
    mine = InBackground(gateway, {"Authorization": "mine"})
    assert worker.holding.wait(30)
    wait_until(lambda: progress(gateway, "mine")["progress"] > 0)

    other = gateway.post("/sdapi/v1/interrupt", headers={"Authorization": "other"})
    assert (other.status_code, other.json()) == (200, {})
    assert progress(gateway, "mine")["state"]["job_count"] == 1
    gateway.post("/sdapi/v1/interrupt", headers={"Authorization": "mine"})
    mine.join(10)

    assert mine.answer is not None
    assert mine.answer.status_code == 409
    assert "cancelled" in mine.answer.json()["detail"]


def test_samplers_models_and_options_are_those_of_the_fleet(
    gateway: httpx.Client, worker: FakeWorker
) -> None:
    (sampler,) = gateway.get("/sdapi/v1/samplers").json()
    (model,) = gateway.get("/sdapi/v1/sd-models").json()
    options = gateway.get("/sdapi/v1/options").json()

    assert (sampler["name"], sampler["aliases"]) == ("DPM++ 2M", ["dpmpp_2m"])
    assert (model["title"], model["model_name"]) == ("emoji [r1]", "emoji")
    assert (options["sd_model_checkpoint"], options["samples_format"]) == ("emoji [r1]", "png")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"sd_model_checkpoint": "emoji"}, 200),
        ({"sd_model_checkpoint": "other"}, 422),
        ({"samples_format": "jpeg"}, 422),
        ({"live_previews_enable": True}, 422),
        ({"live_previews_enable": 0.0}, 422),
        ({"show_progress_every_n_steps": 5}, 422),
    ],
)
def test_nobody_changes_the_options_of_all(
    gateway: httpx.Client, worker: FakeWorker, change: dict[str, Any], status: int
) -> None:
    answer = gateway.post("/sdapi/v1/options", json=change)

    assert answer.status_code == status, answer.text
