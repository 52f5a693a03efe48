"""Reuse of whole UNet calls while latents move smoothly."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

THRESHOLD = 0.01
MOST_IN_A_ROW = 4


class StepReuse:
    """Stands in for a UNet's forward; gives its last result again where latents allow it.

    The rule of AdaptiveDiffusion (Ye et al., NeurIPS 2024): with Δ_t the mean absolute difference
    of the latents of steps t and t − 1, the call is spared when
    |(Δ_t + Δ_{t−2}) / 2 − Δ_{t−1}| ≤ threshold · Δ_{t−1}. One stand-in serves one generation.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        threshold: float = THRESHOLD,
        most_in_a_row: int = MOST_IN_A_ROW,
    ) -> None:
        self._forward, self._threshold, self._most = forward, threshold, most_in_a_row
        self._latents: Tensor | None = None
        self._differences: deque[float] = deque(maxlen=3)
        self._result: Any = None
        self._in_a_row = 0
        self.calls = 0

    def __call__(self, sample: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return the UNet's result for these latents, computed or the last one."""
        self._see(sample)
        if self._is_smooth() and self._in_a_row < self._most:
            self._in_a_row += 1
            return self._result
        self._in_a_row = 0
        self.calls += 1
        self._result = self._forward(sample, *args, **kwargs)
        return self._result

    def _see(self, sample: Tensor) -> None:
        if self._latents is not None:
            self._differences.append(float((sample - self._latents).abs().mean()))
        self._latents = sample

    def _is_smooth(self) -> bool:
        if len(self._differences) < 3:
            return False
        oldest, middle, newest = self._differences
        return abs((newest + oldest) / 2 - middle) <= self._threshold * middle
