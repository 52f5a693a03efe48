"""A capturer for machines without CUDA: does again what it was given, on the same tensors."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workers.capturing import WARM_UPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn

    from workers.capturing import Replay


class Recorder:
    """Warms up as CUDA does, and replays on a UNet as bare as it was when the work was captured.

    `fails` is raised by every capture if set; `free` is the share of memory said to be free.
    """

    def __init__(self, unet: nn.Module) -> None:
        self._unet = unet
        self.captures = 0
        self.fails: Exception | None = None
        self.free = 1.0

    def capture(self, work: Callable[[], None]) -> Replay:
        """Do the work as often as a warm-up does; return what does it once more."""
        if self.fails is not None:
            raise self.fails
        self.captures += 1
        for _ in range(WARM_UPS):
            work()

        def replay() -> None:
            with bare(self._unet):
                work()

        return replay

    def room(self) -> float:
        """Return what it was told."""
        return self.free


@contextmanager
def bare(unet: Any) -> Iterator[None]:
    """Take all stand-ins and hooks off a UNet inside this context."""
    kept = [(m, m.__dict__.pop("forward", None), dict(m._forward_hooks)) for m in unet.modules()]
    for module, _, _ in kept:
        module._forward_hooks.clear()
    try:
        yield
    finally:
        for module, forward, hooks in kept:
            module._forward_hooks.update(hooks)
            if forward is not None:
                module.forward = forward
