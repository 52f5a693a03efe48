"""Steps that `denoise` records once and replays, where it can do that on a device."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from workers.sampler import denoise

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch


class Replays:
    """What one model's steps are recorded in; `wanted` False: nothing is."""

    def __init__(self, device: torch.device, *, wanted: bool = True) -> None:
        self._graphs = _graphs(device) if wanted else None

    @property
    def sampler(self) -> Callable[..., Any]:
        """`denoise`, with steps replayed where they are recorded."""
        return partial(denoise, **({} if self._graphs is None else {"graphs": self._graphs}))

    @property
    def count(self) -> int | None:
        """How many steps were replayed so far, None where none ever is."""
        return None if self._graphs is None else int(self._graphs.replays)

    def record(self) -> None:
        """Record what was run since without a record."""
        if self._graphs is not None:
            self._graphs.capture()


def _graphs(device: torch.device) -> Any:
    if device.type != "cuda" or find_spec("workers.graphs") is None:
        return None
    capturer = import_module("workers.capturing").CudaCapturer(device)
    return import_module("workers.graphs").Graphs(capturer)
