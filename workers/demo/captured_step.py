"""Training steps as one CUDA graph: a GPU does small networks faster than Python can ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Step = Callable[..., Tensor]

WARM_STEPS = 3  # lazy set-ups and optimiser states happen in these


class CapturedStep:
    """Runs `step` on tensors of unchanging shapes; on a GPU it is captured once, then replayed.

    What a call returns is overwritten by the next one.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._result: Tensor | None = None

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Do one step."""
        self._calls += 1
        if not inputs[0].is_cuda:
            return self._step(*inputs)
        if self._calls <= WARM_STEPS:
            return self._aside(*inputs)
        if self._graph is None:
            self._capture(*inputs)
        return self._replay(*inputs)

    def _aside(self, *inputs: Tensor) -> Tensor:
        """Run on a stream of its own, as the capture does."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            result = self._step(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        return result

    def _capture(self, *inputs: Tensor) -> None:
        self._inputs = tuple(given.clone() for given in inputs)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._result = self._step(*self._inputs)
        self._graph = graph

    def _replay(self, *inputs: Tensor) -> Tensor:
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.copy_(given)
        if self._graph is None or self._result is None:
            raise RuntimeError("nothing was captured")
        self._graph.replay()
        return self._result
