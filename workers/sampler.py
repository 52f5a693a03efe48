"""The denoising loop: classifier-free guidance around a UNet, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from diffusers.utils.torch_utils import randn_tensor

from workers.cached_unet import CacheRun, cached
from workers.errors import Stopped
from workers.families import Conditioning, joined
from workers.solvers import solver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from schedules.schedule import Counts, Schedule
    from workers.pipeline import Model

    OnStep = Callable[[int, CacheRun, Tensor], bool]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one picture is asked to show. No negative prompt is not the same as an empty one."""

    text: str
    negative: str | None
    seed: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What all pictures of a batch share."""

    width: int
    height: int
    guidance_scale: float
    solver: str
    schedule: Schedule

    @property
    def guided(self) -> bool:
        """Whether classifier-free guidance is on."""
        return self.guidance_scale > 1.0


def encode(model: Model, prompts: Sequence[Prompt], frame: Frame) -> Conditioning:
    """Turn text into conditioning, each different text once."""
    known: dict[tuple[str, str | None], Conditioning] = {}
    for prompt in prompts:
        key = (prompt.text, prompt.negative)
        if key not in known:
            known[key] = model.family.encode(
                model.pipe, *key, frame.width, frame.height, frame.guided
            )
    return joined([known[p.text, p.negative] for p in prompts], frame.guided)


def initial_latents(model: Model, prompts: Sequence[Prompt], frame: Frame) -> Tensor:
    """Return unit Gaussian latents, B × C × h × w, each picture from its own seed alone.

    Noise is drawn on the CPU in the model's dtype, so that a seed's picture depends neither on the
    device nor on the batch.
    """
    scale = model.pipe.vae_scale_factor
    shape = (1, model.pipe.unet.config.in_channels, frame.height // scale, frame.width // scale)
    generators = [torch.Generator().manual_seed(prompt.seed) for prompt in prompts]
    noise = [randn_tensor(shape, generator=g, dtype=model.dtype) for g in generators]
    return torch.cat(noise).to(model.device)


def always(_step: int, _run: CacheRun, _latents: Tensor) -> bool:
    """Go on after every step."""
    return True


def denoise(
    model: Model,
    conditioning: Conditioning,
    latents: Tensor,
    frame: Frame,
    on_step: OnStep = always,
) -> tuple[Tensor, Counts]:
    """Run all steps of the schedule; return the final latents and what ran.

    After each step `on_step(step, run, latents)` is asked whether to go on; raises Stopped if not.
    """
    steps = frame.schedule.steps
    scheduler = solver(frame.solver, model.pipe.scheduler.config)
    scheduler.set_timesteps(steps, device=model.device)
    latents = latents * scheduler.init_noise_sigma
    device_steps = _DeviceSteps(model.device)
    with cached(model.units, frame.schedule) as run:
        for step, timestep in enumerate(scheduler.timesteps):
            run.begin_step(step)
            noise = _predict(model.pipe.unet, scheduler, latents, timestep, conditioning, frame)
            latents = scheduler.step(noise, timestep, latents, return_dict=False)[0]
            device_steps.wait_for_previous()
            if not on_step(step, run, latents):
                raise Stopped(f"stopped after step {step + 1} of {steps}")
        return latents, run.counts


class _DeviceSteps:
    """Keeps the loop at most one step ahead of a GPU, so that what it says of time is true."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._previous: torch.cuda.Event | None = None

    def wait_for_previous(self) -> None:
        """Mark the end of this step; return when the device has finished the one before."""
        if not self._cuda:
            return
        if self._previous is not None:
            self._previous.synchronize()
        self._previous = torch.cuda.Event()
        self._previous.record()


def _predict(
    unet: Any,
    scheduler: Any,
    latents: Tensor,
    timestep: Tensor,
    conditioning: Conditioning,
    frame: Frame,
) -> Tensor:
    doubled = torch.cat([latents] * 2) if frame.guided else latents
    noise: Tensor = unet(
        scheduler.scale_model_input(doubled, timestep),
        timestep,
        encoder_hidden_states=conditioning.text,
        added_cond_kwargs=conditioning.added,
        return_dict=False,
    )[0]
    if not frame.guided:
        return noise
    unconditional, conditional = noise.chunk(2)
    return unconditional + frame.guidance_scale * (conditional - unconditional)


def decode(model: Model, latents: Tensor) -> Tensor:
    """Return pictures in [-1, 1], B × 3 × H × W."""
    return model.family.decode(model.pipe, latents)
