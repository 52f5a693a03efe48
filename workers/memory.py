"""What batches of a model need of this device's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch

from schedules.memory import Footprint, MemoryAccount
from schedules.rules import uniform
from workers.rendering import render
from workers.sampler import Frame, Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from workers.cached_unet import CacheRun
    from workers.pipeline import Model

STEPS = 3
# Of the device's memory, what a batch leaves free for graphs and everything else.
USABLE = 0.8


class Meter(Protocol):
    """Tells how much memory tensors take."""

    def begin(self) -> None:
        """Forget what was taken at most so far."""

    def now_bytes(self) -> int:
        """Return what is taken now."""

    def peak_bytes(self) -> int:
        """Return what was taken at most since `begin`."""

    def usable_bytes(self) -> int:
        """Return what may be taken."""


class CudaMeter:
    """Reads the books of torch's allocator of GPU memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def begin(self) -> None:
        """Forget what was taken at most so far."""
        torch.cuda.reset_peak_memory_stats(self._device)

    def now_bytes(self) -> int:
        """Return what is taken now."""
        return torch.cuda.memory_allocated(self._device)

    def peak_bytes(self) -> int:
        """Return what was taken at most since `begin`."""
        return torch.cuda.max_memory_allocated(self._device)

    def usable_bytes(self) -> int:
        """Return what may be taken: most of what is free or held already."""
        free_bytes, _ = torch.cuda.mem_get_info(self._device)
        return int(USABLE * (free_bytes + torch.cuda.memory_reserved(self._device)))


def measure_memory(
    model: Model,
    width: int,
    height: int,
    guidance_scale: float,
    batches: Sequence[int],
    meter: Meter,
) -> MemoryAccount:
    """Make pictures of a few steps in each batch size, rising, and see what they take.

    Their steps keep what all units compute, as those do between which a batch is paused.
    """
    schedule = uniform(STEPS, model.units.graph, 2)
    frame = Frame(width, height, guidance_scale, "dpmpp_2m", schedule)
    measured = [(batch, _footprint(model, frame, batch, meter)) for batch in batches]
    return MemoryAccount(tuple(measured))


def _footprint(model: Model, frame: Frame, batch: int, meter: Meter) -> Footprint:
    held: list[int] = []

    def keep(_step: int, _run: CacheRun, _latents: Tensor) -> bool:
        held.append(meter.now_bytes())
        return True

    meter.begin()
    before = meter.now_bytes()
    render(model, [Prompt("a red apple", None, seed) for seed in range(batch)], frame, keep)
    return Footprint(meter.peak_bytes() - before, max(held) - before)
