"""How long a denoising loop takes, measured the same way whoever runs it.

The clock starts with the first call of the UNet and is read at the end of every step. What a method
does before its loop (wrapping modules, checking arguments) counts for none of them.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workers.costing import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn


class Stopwatch:
    """Times one denoising loop."""

    def __init__(self, device: torch.device) -> None:
        self._clock = Clock(device)
        self._marks: list[Any] = []

    @contextmanager
    def watching(self, unet: nn.Module) -> Iterator[None]:
        """Start at the first UNet call inside this context, on an idle device."""
        self._clock.settle()
        hook = unet.register_forward_pre_hook(self._called)
        try:
            yield
        finally:
            hook.remove()

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
