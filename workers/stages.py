"""Where the graphs of one shape of UNet call find what they work on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch

from schedules.rules import all_compute
from schedules.units import Role
from workers.cached_unet import CacheRun, installed
from workers.fixes import Fix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from workers.fixes import Fixes
    from workers.moves import Move
    from workers.pins import Inputs, Pins
    from workers.units import UNetUnits


@dataclass(frozen=True, slots=True)
class Stage:
    """The tensors that all graphs of one shape of UNet call work on, and the UNet they call."""

    unet: Any
    units: UNetUnits
    inputs: Inputs
    pins: Pins
    output: Tensor
    fixes: dict[int, Fix] = field(default_factory=dict)

    @classmethod
    def after(cls, unet: Any, units: UNetUnits, inputs: Inputs, run: CacheRun) -> Stage:
        """Return a stage for calls like those that `run` has made."""
        (output,) = units.graph.with_role(Role.OUTPUT)
        pins = run.pins()
        return cls(unet, units, inputs.copied(), pins, torch.zeros_like(pins.values[output]))

    @property
    def bytes(self) -> int:
        """The memory of its tensors, without the few of its fixes."""
        return sum(t.nbytes for t in (*self.inputs.tensors, *self.pins.tensors, self.output))

    def fill(self, inputs: Inputs, fixes: Fixes) -> None:
        """Write into place what the next replay reads."""
        self.inputs.fill(inputs)
        pairs = [pair for u, fix in fixes.items() for pair in _pairs(self.fixes[u], fix)]
        if pairs:
            places, terms = (list(side) for side in zip(*pairs, strict=True))
            torch._foreach_copy_(places, terms)  # one launch for all, not three for each unit

    def work(self, move: Move) -> Callable[[], None]:
        """Return the UNet call that makes a move with what lies on this stage, and only that."""
        run = CacheRun(all_compute(1, self.units.graph), self.units)
        self.pins.reserve((*move.forecast, *(u for u, has_two in move.fixed if has_two)))
        run.pin(self.pins)
        run.rehearse(move, {u: self._fix(u, has_two) for u, has_two in move.fixed})

        def work() -> None:
            with installed(self.units, run):
                self.output.copy_(self.inputs.given_to(self.unet))

        return work

    def _fix(self, u: int, has_two: bool) -> Fix:
        if u not in self.fixes:
            entry, like = self.units.modules[u], self.pins.values[u]
            shape = (entry.channels,) if entry.tokens_last else (entry.channels, 1, 1)
            self.fixes[u] = Fix((0, None), *like.new_zeros(3, *shape).unbind())
        fix = self.fixes[u]
        return fix if has_two else replace(fix, slope=None)


def _pairs(place: Fix, fix: Fix) -> Iterator[tuple[Tensor, Tensor]]:
    for name in ("gain", "shift", "slope"):
        term = getattr(fix, name)
        if term is not None:
            yield getattr(place, name), term
