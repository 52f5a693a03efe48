"""The denoising loop: classifier-free guidance around a UNet, step by step."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from diffusers.utils.torch_utils import randn_tensor

from workers.cached_unet import CacheRun, cache_run, installed
from workers.errors import Stopped
from workers.families import Conditioning, joined
from workers.graphs import Graphs
from workers.pins import Inputs
from workers.solvers import started

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from schedules.schedule import Counts, Schedule
    from workers.correction import Correction
    from workers.pipeline import Model

    OnStep = Callable[[int, CacheRun, Tensor], bool]
    OnDenoised = Callable[[int, Tensor], None]
    Between = Callable[[int], Callable[[], None] | None]
    Call = Callable[[Inputs], Tensor]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one picture is asked to show. No negative prompt is not the same as an empty one."""

    text: str
    negative: str | None
    seed: int


@dataclass(frozen=True, slots=True)
class Frame:
    """What all pictures of a batch share; `correction` is of this solver and schedule."""

    width: int
    height: int
    guidance_scale: float
    solver: str
    schedule: Schedule
    correction: Correction | None = None

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


def nothing(_step: int) -> None:
    """Let nothing come between two steps."""


def denoise(
    model: Model,
    conditioning: Conditioning,
    latents: Tensor,
    frame: Frame,
    on_step: OnStep = always,
    on_denoised: OnDenoised | None = None,
    graphs: Graphs | None = None,
    between: Between = nothing,
) -> tuple[Tensor, Counts]:
    """Run all steps of the schedule; return the final latents and what ran.

    With `graphs` steps are replayed where that is possible: nobody may then keep or change cached
    values, or hook into the UNet.

    After each step `on_denoised(step, denoised)` is told which final latents the step expects, then
    `on_step(step, run, latents)` is asked whether to go on; raises Stopped if not,
    CalibrationError when the frame's correction is for another model, solver or schedule.

    After that, before every further step, `between(step)` is asked for what comes first, None for
    nothing: the UNet and the graphs are free meanwhile, and what follows does not depend on it.
    """
    run = cache_run(model.units, frame.schedule, following(model, frame))
    walk, unet = Walk(model, conditioning, latents, frame), model.pipe.unet
    graphs = graphs or Graphs()
    asked = _Asked(on_step, on_denoised, between, _DeviceSteps(model.device))
    while walk.done < frame.schedule.steps:
        inputs = walk.inputs(walk.done)
        with (
            installed(model.units, run),
            graphs.generation(unet, model.units, run, inputs) as walk.call,
        ):
            other = _until_interrupted(walk, run, frame.schedule.steps, asked)
        if other is not None:
            run.unpin()
            other()
    return walk.latents, run.counts


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who is told of a step, in this order; the last one what comes before the next."""

    on_step: OnStep
    on_denoised: OnDenoised | None
    between: Between
    device_steps: _DeviceSteps

    def after(self, step: int, walk: Walk, run: CacheRun, steps: int) -> Callable[[], None] | None:
        self.device_steps.wait_for_previous()
        if self.on_denoised is not None:
            self.on_denoised(step, walk.denoised)
        if not self.on_step(step, run, walk.latents):
            raise Stopped(f"stopped after step {step + 1} of {steps}")
        return self.between(step) if step + 1 < steps else None


def _until_interrupted(
    walk: Walk, run: CacheRun, steps: int, asked: _Asked
) -> Callable[[], None] | None:
    """Take steps until something else comes first, which is returned, or all are done."""
    for step in range(walk.done, steps):
        run.begin_step(step)
        walk.advance(step, walk.predict(step))
        other = asked.after(step, walk, run, steps)
        if other is not None:
            return other
    return None


def following(model: Model, frame: Frame) -> Correction | None:
    """Return the frame's correction as the model takes it; raises CalibrationError as `denoise`."""
    if frame.correction is None:
        return None
    frame.correction.require(model, frame)
    return frame.correction.to(model.device, model.dtype)


class Walk:
    """One batch on its way from unit Gaussian noise to final `latents`, step by step."""

    def __init__(
        self, model: Model, conditioning: Conditioning, noise: Tensor, frame: Frame
    ) -> None:
        unet = model.pipe.unet
        self.call: Call = lambda inputs: inputs.given_to(unet)
        self._conditioning = conditioning
        self._frame = frame
        config, steps = model.pipe.scheduler.config, frame.schedule.steps
        scheduler = started(frame.solver, config, steps, model.device)
        self._timesteps: tuple[Tensor, ...] = tuple(scheduler.timesteps)
        self._schedulers = [scheduler]  # as each was before a step, to predict any of them again
        self.latents: Tensor = noise * scheduler.init_noise_sigma
        self._expected: Tensor | None = None

    @property
    def done(self) -> int:
        """How many steps were taken."""
        return len(self._schedulers) - 1

    @property
    def denoised(self) -> Tensor:
        """The final latents that the last step expected."""
        if self._expected is not None:
            return self._expected
        kept: Tensor = self._schedulers[-1].model_outputs[-1]  # as solvers of several steps do
        return kept

    def predict(self, step: int, latents: Tensor | None = None) -> Tensor:
        """Call the UNet on latents, by default those of now; return the guided prediction.

        Changes nothing: a step can be predicted as often as wanted, even when it is long past.
        """
        noise = self.call(self.inputs(step, latents))
        if not self._frame.guided:
            return noise
        unconditional, conditional = noise.chunk(2)
        return unconditional + self._frame.guidance_scale * (conditional - unconditional)

    def inputs(self, step: int, latents: Tensor | None = None) -> Inputs:
        """Return what the UNet is called on at a step, by default with the latents of now."""
        timestep = self._timesteps[step]
        latents = self.latents if latents is None else latents
        doubled = torch.cat([latents] * 2) if self._frame.guided else latents
        scaled = self._schedulers[step].scale_model_input(doubled, timestep)
        return Inputs(scaled, timestep, self._conditioning.text, self._conditioning.added)

    def advance(self, step: int, prediction: Tensor) -> None:
        """Move the latents one step on; every step once, in order."""
        timestep, scheduler = self._timesteps[step], copy(self._schedulers[step])
        stepped = scheduler.step(prediction, timestep, self.latents, return_dict=False)
        self.latents, *expected = stepped
        self._expected = expected[0] if expected else None
        self._schedulers.append(scheduler)


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


def decode(model: Model, latents: Tensor) -> Tensor:
    """Return pictures in [-1, 1], B × 3 × H × W."""
    return model.family.decode(model.pipe, latents)
