"""Short words for what worker tests do all the time: frames, prompts, runs, a plain reference."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from schedules.rules import all_compute
from workers.images import to_pixels
from workers.sampler import Frame, Prompt, always, decode, denoise, encode, initial_latents
from workers.solvers import solver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from schedules.schedule import Counts, Schedule
    from workers.graphs import Graphs
    from workers.pipeline import Model
    from workers.sampler import OnStep

TEXT = "a red apple"


def a_frame(
    model: Model, schedule: Schedule | int = 3, *, solver: str = "ddim", guidance: float = 3.0
) -> Frame:
    """Return a frame of the model's own size; a number of steps means the uncached schedule."""
    table = all_compute(schedule, model.units.graph) if isinstance(schedule, int) else schedule
    return Frame(model.native_size, model.native_size, guidance, solver, table)


def some_prompts(*seeds: int) -> list[Prompt]:
    """Return one prompt a seed, each of another text."""
    return [Prompt(f"{TEXT} {seed}", None, seed) for seed in seeds or (0,)]


@torch.inference_mode()
def latents_of(
    model: Model,
    frame: Frame,
    prompts: Sequence[Prompt],
    on_step: OnStep = always,
    graphs: Graphs | None = None,
) -> tuple[Tensor, Counts]:
    """Return the final latents and what ran."""
    conditioning = encode(model, prompts, frame)
    start = initial_latents(model, prompts, frame)
    return denoise(model, conditioning, start, frame, on_step, graphs=graphs)


@torch.inference_mode()
def pixels_of(model: Model, latents: Tensor) -> NDArray[np.uint8]:
    """Return the pictures of final latents."""
    return to_pixels(decode(model, latents))


def by_diffusers(model: Model, frame: Frame, prompt: Prompt) -> tuple[Tensor, NDArray[np.uint8]]:
    """Return what the diffusers pipeline itself makes of the same request: latents and picture."""
    scheduler = solver(frame.solver, model.pipe.scheduler.config)
    steps = _watched_steps(scheduler)
    kind = type(model.pipe)
    pipe = kind(**{**model.pipe.components, "scheduler": scheduler, **EXTRAS.get(kind, {})})
    pipe.set_progress_bar_config(disable=True)
    images = pipe(
        prompt.text,
        negative_prompt=prompt.negative,
        width=frame.width,
        height=frame.height,
        num_inference_steps=frame.schedule.steps,
        guidance_scale=frame.guidance_scale,
        generator=torch.Generator().manual_seed(prompt.seed),
        output_type="pil",
    ).images
    return steps[-1], np.array(images[0])


EXTRAS: dict[type, dict[str, Any]] = {
    StableDiffusionPipeline: {"requires_safety_checker": False},
    StableDiffusionXLPipeline: {"add_watermarker": False},
}


def _watched_steps(scheduler: Any) -> list[Tensor]:
    """Collect the latents after each step: not every pipeline can return them."""
    step, seen = scheduler.step, list[torch.Tensor]()

    @wraps(step)  # pipelines look at its parameters
    def watched(*args: Any, **kwargs: Any) -> Any:
        result = step(*args, **kwargs)
        seen.append(result[0])
        return result

    scheduler.step = watched
    return seen


def is_untouched(unet: torch.nn.Module) -> bool:
    """Return whether no module of a UNet has a replaced forward or a hook left on it."""
    return not any(
        "forward" in module.__dict__ or module._forward_hooks for module in unet.modules()
    )
