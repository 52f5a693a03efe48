"""From prompts to picture files under one plan, with the time every stage took."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from workers.images import to_pixels, to_png
from workers.own_time import OwnTime
from workers.sampler import always, decode, denoise, encode, initial_latents, nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from schedules.schedule import Counts
    from workers.cached_unet import CacheRun
    from workers.graphs import Graphs
    from workers.pipeline import Model
    from workers.sampler import Between, Frame, OnDenoised, OnStep, Prompt

    ToFile = Callable[[int, NDArray[np.uint8]], bytes]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Finished pictures as files, in the order of their prompts, and what really happened.

    `step_ms` holds what each step took of `denoise_ms`; `began_s` is on the monotonic clock. For
    `paused_ms` it stood still between two steps, which no other time contains.
    """

    images: tuple[bytes, ...]
    counts: Counts
    encode_ms: float
    denoise_ms: float
    decode_ms: float
    png_ms: float
    step_ms: tuple[float, ...] = field(default=(), kw_only=True)
    began_s: float = field(default=0.0, kw_only=True)
    paused_ms: float = field(default=0.0, kw_only=True)

    @property
    def total_ms(self) -> float:
        """The time of all stages, without pauses."""
        return self.encode_ms + self.denoise_ms + self.decode_ms + self.png_ms


def plain_png(_row: int, pixels: NDArray[np.uint8]) -> bytes:
    """Encode a picture as PNG with nothing else in it."""
    return to_png(pixels)


@torch.inference_mode()
def render(
    model: Model,
    prompts: Sequence[Prompt],
    frame: Frame,
    on_step: OnStep = always,
    on_denoised: OnDenoised | None = None,
    to_file: ToFile = plain_png,
    graphs: Graphs | None = None,
    between: Between = nothing,
) -> Rendered:
    """Make one picture a prompt as a single batch, each encoded by `to_file(row, pixels)`.

    With `graphs` and `between` as `denoise` says. Raises Stopped when `on_step` says so.
    """
    began_s, clock = time.monotonic(), OwnTime()
    marks = [clock()]
    conditioning = encode(model, prompts, frame)
    start = initial_latents(model, prompts, frame)
    _mark(model, marks, clock)
    watched, asked = _Watched(on_step, clock), partial(_aside, model, clock, between)
    latents, counts = denoise(
        model, conditioning, start, frame, watched, on_denoised, graphs, asked
    )
    _mark(model, marks, clock)
    pixels = to_pixels(decode(model, latents))
    _mark(model, marks, clock)
    images = tuple(to_file(row, picture) for row, picture in enumerate(pixels))
    marks.append(clock())
    step_ms, paused_ms = tuple(_apart_ms(watched.marks)), clock.paused_s * 1e3
    kept: Any = {"step_ms": step_ms, "paused_ms": paused_ms, "began_s": began_s}
    return Rendered(images, counts, *_apart_ms(marks), **kept)


class _Watched:
    """Asks `on_step` after each step and notes when."""

    def __init__(self, on_step: OnStep, clock: OwnTime) -> None:
        self.marks = [clock()]
        self._on_step = on_step
        self._clock = clock

    def __call__(self, step: int, run: CacheRun, latents: Tensor) -> bool:
        self.marks.append(self._clock())
        return self._on_step(step, run, latents)


def _aside(model: Model, clock: OwnTime, between: Between, step: int) -> Callable[[], None] | None:
    """Let what comes between two steps not count as time of the run."""
    other = between(step)
    if other is None:
        return None
    _finished(model)
    return partial(clock.aside, other)


def _apart_ms(marks: Sequence[float]) -> list[float]:
    return [(b - a) * 1e3 for a, b in pairwise(marks)]


def _mark(model: Model, marks: list[float], clock: OwnTime) -> None:
    _finished(model)
    marks.append(clock())


def _finished(model: Model) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
