"""What peers serve: the same model by diffusers' own pipeline in 20 steps, a wait, or nothing.

Runs in the peers' own environments, so it imports no module of this project.
"""

from __future__ import annotations

import os
import random
import time
from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[list[str]], list[str]]

STEPS = 20
MOST_AT_ONCE = 4
GATHER_MS = 10
# A run of the same work strays by this much, as a logarithm; that of this service's stub too.
STRAY = 0.03


def maker() -> Make:
    """Return what makes a picture in base64 for each prompt.

    BENCH_MODEL names the folder of a model; without it BENCH_MS has the milliseconds that 1, 2, …
    pictures at once take; without both there is nothing to do.
    """
    folder, times_ms = os.environ.get("BENCH_MODEL"), os.environ.get("BENCH_MS")
    if folder:
        return _by(_pipeline(folder))
    return _timed([float(ms) for ms in times_ms.split(",")]) if times_ms else _blank


def _blank(prompts: list[str]) -> list[str]:
    return ["" for _ in prompts]


def _timed(times_ms: list[float]) -> Make:
    chance = random.Random(0)  # noqa: S311 a stray, not a secret

    def make(prompts: list[str]) -> list[str]:
        time.sleep(times_ms[len(prompts) - 1] / 1000 * chance.lognormvariate(0, STRAY))
        return _blank(prompts)

    return make


def _pipeline(folder: str) -> Any:
    import torch
    from diffusers import DiffusionPipeline, DPMSolverMultistepScheduler

    device, dtype = "cpu", torch.float32
    if torch.cuda.is_available():
        device, dtype = "cuda", torch.float16
    pipe = DiffusionPipeline.from_pretrained(folder, use_safetensors=True, dtype=dtype)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


def _by(pipe: Any) -> Make:
    guidance_scale = float(os.environ["BENCH_GUIDANCE"])

    def make(prompts: list[str]) -> list[str]:
        made = pipe(prompts, num_inference_steps=STEPS, guidance_scale=guidance_scale)
        return [_png(picture) for picture in made.images]

    return make


def _png(picture: Any) -> str:
    file = BytesIO()
    picture.save(file, "PNG")
    return b64encode(file.getvalue()).decode("ascii")
