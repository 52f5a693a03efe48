"""From prompts to picture files under one plan, with the time every stage took."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from workers.images import to_pixels, to_png
from workers.sampler import always, decode, denoise, encode, initial_latents

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from schedules.schedule import Counts
    from workers.cached_unet import CacheRun
    from workers.graphs import Graphs
    from workers.pipeline import Model
    from workers.sampler import Frame, OnDenoised, OnStep, Prompt

    ToFile = Callable[[int, NDArray[np.uint8]], bytes]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Finished pictures as files, in the order of their prompts, and what really happened.

    `step_ms` holds what each step took of `denoise_ms`; `began_s` is on the monotonic clock.
    """

    images: tuple[bytes, ...]
    counts: Counts
    encode_ms: float
    denoise_ms: float
    decode_ms: float
    png_ms: float
    step_ms: tuple[float, ...] = field(default=(), kw_only=True)
    began_s: float = field(default=0.0, kw_only=True)

    @property
    def total_ms(self) -> float:
        """The time of all stages."""
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
) -> Rendered:
    """Make one picture a prompt as a single batch, each encoded by `to_file(row, pixels)`.

    With `graphs` as `denoise` says. Raises Stopped when `on_step` says so.
    """
    began_s = time.monotonic()
    marks = [time.perf_counter()]
    conditioning = encode(model, prompts, frame)
    start = initial_latents(model, prompts, frame)
    _mark(model, marks)
    watched = _Watched(on_step, marks[-1])
    latents, counts = denoise(model, conditioning, start, frame, watched, on_denoised, graphs)
    _mark(model, marks)
    pixels = to_pixels(decode(model, latents))
    _mark(model, marks)
    images = tuple(to_file(row, picture) for row, picture in enumerate(pixels))
    marks.append(time.perf_counter())
    step_ms = tuple(_apart_ms(watched.marks))
    return Rendered(images, counts, *_apart_ms(marks), step_ms=step_ms, began_s=began_s)


class _Watched:
    """Asks `on_step` after each step and notes when."""

    def __init__(self, on_step: OnStep, began_s: float) -> None:
        self.marks = [began_s]
        self._on_step = on_step

    def __call__(self, step: int, run: CacheRun, latents: Tensor) -> bool:
        self.marks.append(time.perf_counter())
        return self._on_step(step, run, latents)


def _apart_ms(marks: Sequence[float]) -> list[float]:
    return [(b - a) * 1e3 for a, b in pairwise(marks)]


def _mark(model: Model, marks: list[float]) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)
    marks.append(time.perf_counter())
