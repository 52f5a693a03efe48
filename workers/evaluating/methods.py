"""One way to denoise a picture, and doing it: by the sampler here, or by a peer in diffusers."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DiffusionPipeline

from workers.evaluating.errors import EvaluationError
from workers.evaluating.timing import Stopwatch
from workers.sampler import Walk, denoise, encode, initial_latents
from workers.solvers import solver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from workers.cached_unet import CacheRun
    from workers.families import Conditioning
    from workers.pipeline import Model
    from workers.sampler import Frame, Prompt

    Enable = Callable[[Any], Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class Method:
    """One row of a comparison.

    Methods of one `group` differ in how far they go. `enable(pipe)` changes a diffusers pipeline
    and its UNet, and returns what to call in the pipeline's place; None: the sampler here follows
    the frame's schedule and correction. `compute_fraction` is the share of the unit time of an
    uncached run that is spent, where it is known.
    """

    name: str
    group: str
    frame: Frame
    enable: Enable | None = None
    compute_fraction: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """Pictures to be made at once: what the UNet is told, and the noise they start from."""

    prompt: Prompt
    conditioning: Conditioning
    noise: Tensor

    @classmethod
    @torch.inference_mode()
    def of(cls, model: Model, prompt: Prompt, frame: Frame) -> Subject:
        """Encode one prompt and draw its noise."""
        return cls(prompt, encode(model, [prompt], frame), initial_latents(model, [prompt], frame))


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """Final latents of one picture, and how long after the start every step was done."""

    latents: Tensor
    elapsed_ms: tuple[float, ...]

    @property
    def ms(self) -> float:
        """The time of the whole loop."""
        return self.elapsed_ms[-1]


@torch.inference_mode()
def take(
    model: Model,
    method: Method,
    subject: Subject,
    *,
    whole: bool = False,
    sampler: Callable[..., Any] = denoise,
) -> Take:
    """Denoise one subject by one method; leaves model and UNet as they were.

    `whole` times the loop from its call on; `sampler` stands in for `denoise`.
    """
    watch, unet = Stopwatch(model.device, whole=whole), model.pipe.unet
    with restored(unet), watch.watching(unet):
        latents = _loop(model, method, sampler)(model, method, subject, watch)
    return Take(latents, watch.elapsed_ms())


def _loop(
    model: Model, method: Method, sampler: Callable[..., Any]
) -> Callable[[Model, Method, Subject, Stopwatch], Tensor]:
    if method.enable is None:
        return partial(_by_sampler, sampler)
    can_be_watched = "callback_on_step_end" in signature(model.pipe.__call__).parameters
    return _by_pipeline if can_be_watched else _by_bare_loop


@contextmanager
def restored(unet: nn.Module) -> Iterator[None]:
    """Put back every attribute of every module of a UNet afterwards, whatever was done to them."""
    before = [(module, dict(module.__dict__)) for module in unet.modules()]
    try:
        yield
    finally:
        for module, attributes in before:
            module.__dict__.clear()
            module.__dict__.update(attributes)


def _by_sampler(
    sampler: Callable[..., Any], model: Model, method: Method, subject: Subject, watch: Stopwatch
) -> Tensor:
    def on_step(_step: int, _run: CacheRun, _latents: Tensor) -> bool:
        watch.step_ended()
        return True

    watch.loop_called()
    latents: Tensor
    latents, _ = sampler(model, subject.conditioning, subject.noise, method.frame, on_step)
    return latents


def _by_pipeline(model: Model, method: Method, subject: Subject, watch: Stopwatch) -> Tensor:
    """Run the model's own diffusers pipeline, without its text encoder and autoencoder.

    It calls the UNet and the solver as its authors meant it to.
    """

    def on_step(_pipe: Any, _step: int, _timestep: Any, passed: dict[str, Any]) -> dict[str, Any]:
        watch.step_ended()
        return passed

    frame, call = method.frame, _enabled(model, method)
    watch.loop_called()
    latents: Tensor = call(
        **_embeddings(subject.conditioning, frame.guided),
        latents=subject.noise,
        width=frame.width,
        height=frame.height,
        num_inference_steps=frame.schedule.steps,
        guidance_scale=frame.guidance_scale,
        output_type="latent",
        return_dict=False,
        callback_on_step_end=on_step,
    )[0]
    return latents


def _by_bare_loop(model: Model, method: Method, subject: Subject, watch: Stopwatch) -> Tensor:
    """Step through the sampler's own loop without its cache, for old pipelines without callbacks.

    Raises EvaluationError for a peer that has a pipeline of its own.
    """
    pipe = _enabled(model, method)
    if not isinstance(pipe, DiffusionPipeline):
        raise EvaluationError(f"it replaces the loop of a {type(model.pipe).__name__}")
    watch.loop_called()
    walk = Walk(model, subject.conditioning, subject.noise, method.frame)
    for step in range(method.frame.schedule.steps):
        walk.advance(step, walk.predict(step))
        watch.step_ended()
    return walk.latents


def _enabled(model: Model, method: Method) -> Callable[..., Any]:
    """Return what a peer makes of the model's pipeline.

    A shallow copy takes the solver and whatever a peer sets on it, so that the model keeps its own.
    """
    assert method.enable is not None  # noqa: S101 - the caller's choice
    pipe = copy.copy(model.pipe)
    pipe.scheduler = solver(method.frame.solver, model.pipe.scheduler.config)
    pipe.scheduler.set_timesteps(method.frame.schedule.steps, device=model.device)
    return method.enable(pipe)


def _embeddings(conditioning: Conditioning, guided: bool) -> dict[str, Tensor]:
    """Name the halves of a conditioning as Stable Diffusion pipelines do."""
    kinds = {"prompt_embeds": conditioning.text}
    if conditioning.added is not None:
        kinds["pooled_prompt_embeds"] = conditioning.added["text_embeds"]
    if not guided:
        return kinds
    halves = {name: tensor.chunk(2) for name, tensor in kinds.items()}
    negative = {f"negative_{name}": pair[0] for name, pair in halves.items()}
    return {**negative, **{name: pair[1] for name, pair in halves.items()}}
