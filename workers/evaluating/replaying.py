"""Steps that `denoise` records once and replays, where it can do that on a device."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from workers.capturing import CudaCapturer
from workers.graphs import Graphs
from workers.sampler import denoise

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


class Replays:
    """What one model's steps are recorded in; `wanted` False: nothing is."""

    def __init__(self, device: torch.device, *, wanted: bool = True) -> None:
        can = wanted and device.type == "cuda"
        self._graphs = Graphs(CudaCapturer(device) if can else None)

    @property
    def sampler(self) -> Callable[..., Any]:
        """`denoise`, with steps replayed where they are recorded."""
        return partial(denoise, graphs=self._graphs)

    @property
    def count(self) -> int | None:
        """How many steps were replayed so far, None where none ever is."""
        return self._graphs.replays if self._graphs.are_on else None

    def record(self) -> None:
        """Record what was run since without a record."""
        self._graphs.capture()
