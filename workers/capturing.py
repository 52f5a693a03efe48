"""Recording the work of a device, to be done again with one launch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

import torch

if TYPE_CHECKING:
    from typing import Any

Replay = Callable[[], None]
# The first run of a kernel may load and choose it, which no capture can hold.
WARM_UPS = 2


class Capturer(Protocol):
    """Records work on tensors that exist, for as long as what it returned is kept."""

    def capture(self, work: Callable[[], None]) -> Replay:
        """Return what does `work` again; it may do it now as well, any number of times."""
        ...

    def room(self) -> float:
        """Return the share of the device's memory that is free."""
        ...


class CudaCapturer:
    """Captures CUDA graphs, all in one memory pool: a replay may overwrite what another left there.

    Their work therefore writes what is to last into tensors made outside of it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._pool: Any = None
        self._live: WeakSet[_Graph] = WeakSet()

    def capture(self, work: Callable[[], None]) -> Replay:
        """Run `work` to warm up, then record it."""
        graph, pool = torch.cuda.CUDAGraph(), self._shared_pool()
        # The outer context: a capture that fails does not put the stream back. The mode: other
        # threads of a worker may use the device meanwhile.
        with torch.cuda.stream(torch.cuda.current_stream(self._device)):
            self._warm_up(work)
            with torch.cuda.graph(graph, pool, self._stream, capture_error_mode="thread_local"):
                work()
        kept = _Graph(graph)
        self._live.add(kept)
        return kept

    def room(self) -> float:
        """Return the share of the device's memory that is free, unused caches given back."""
        torch.cuda.empty_cache()
        free_bytes, all_bytes = torch.cuda.mem_get_info(self._device)
        return free_bytes / all_bytes

    def _warm_up(self, work: Callable[[], None]) -> None:
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            for _ in range(WARM_UPS):
                work()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)

    def _shared_pool(self) -> Any:
        # A pool that no graph uses any more may be gone.
        if not self._live:
            self._pool = torch.cuda.graph_pool_handle()
        return self._pool


class _Graph:
    """A captured graph that tells by its own life whether it is still used."""

    def __init__(self, graph: torch.cuda.CUDAGraph) -> None:
        self._graph = graph

    def __call__(self) -> None:
        self._graph.replay()
