"""How long a denoising loop takes, and how much memory, measured the same way whoever runs it.

The clock starts with the first call of the UNet and is read at the end of every step. What a method
does before its loop (wrapping modules, checking arguments) counts for none of them. Where the whole
of a loop is timed, the clock starts as it is called.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from workers.costing import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


class Stopwatch:
    """Times one denoising loop; `whole`: from its call on, with no hook on the UNet."""

    def __init__(self, device: torch.device, *, whole: bool = False) -> None:
        self._clock, self._whole = Clock(device), whole
        self._marks: list[Any] = []

    @contextmanager
    def watching(self, unet: nn.Module) -> Iterator[None]:
        """Start at the first UNet call inside this context, on an idle device."""
        self._clock.settle()
        if self._whole:
            yield
            return
        hook = unet.register_forward_pre_hook(self._called)
        try:
            yield
        finally:
            hook.remove()

    def loop_called(self) -> None:
        """Note that a loop, all set up, is about to be called."""
        if self._whole:
            self._clock.settle()
            self._marks.append(self._clock.mark())

    def _called(self, _unet: nn.Module, _inputs: Any) -> None:
        if not self._marks:
            self._marks.append(self._clock.mark())

    def step_ended(self) -> None:
        """Note that a step of the solver is done."""
        self._marks.append(self._clock.mark())

    def elapsed_ms(self) -> tuple[float, ...]:
        """Return for every step the time from the start to its end."""
        self._clock.settle()
        start, *ends = self._marks
        return tuple(self._clock.ms(start, end) for end in ends)


@dataclass(frozen=True, slots=True)
class Memory:
    """A device's memory, None where it does not tell: in use at the most, and reserved."""

    peak_bytes: int | None = None
    reserved_bytes: int | None = None


class MemoryWatch:
    """Watches what a run allocates beside what a model's weights take."""

    def __init__(self, device: torch.device, weights_bytes: int) -> None:
        self._device, self._weights_bytes = device, weights_bytes
        self._is_told = device.type == "cuda"
        if self._is_told:
            torch.cuda.reset_peak_memory_stats(device)
            self._before_bytes = torch.cuda.memory_allocated(device)

    def seen(self) -> Memory:
        """Return the most since the start; what others hold does not count as in use."""
        if not self._is_told:
            return Memory()
        beside = torch.cuda.max_memory_allocated(self._device) - self._before_bytes
        return Memory(self._weights_bytes + beside, torch.cuda.memory_reserved(self._device))
