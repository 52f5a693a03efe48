"""How a unit's output is made of what is reused: uncorrected, bit for bit what the module adds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schedules.units import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from workers.fixes import Fix
    from workers.units import UnitModule


@dataclass(frozen=True, slots=True)
class Reused:
    """A unit's cached value, the one before it, and what corrects them, if anything does."""

    value: Tensor
    before: Tensor
    fix: Fix | None

    def corrected(self) -> Tensor:
        """Return the value as it is to be used."""
        return self.value if self.fix is None else self.fix(self.value, self.before)

    def added(self, x: Tensor) -> Tensor:
        """Return x + the value as it is to be used."""
        if self.fix is None:
            return x + self.value
        return self.fix.added(x, self.value, self.before)


def _residual(entry: UnitModule) -> Callable[[Tensor, Reused], Tensor]:
    """Identity path + update, in the dtype the module itself adds them."""
    module: Any = entry.module
    if entry.unit.role is Role.TRANSFORMER:
        return _transformer_sum(module.use_linear_projection)
    shortcut, scale = module.conv_shortcut, module.output_scale_factor

    def resnet_sum(x: Tensor, update: Reused) -> Tensor:
        total = update.added(x if shortcut is None else shortcut(x))
        return total if scale == 1.0 else total / scale

    return resnet_sum


def _transformer_sum(tokens_last: bool) -> Callable[[Tensor, Reused], Tensor]:
    def token_sum(x: Tensor, update: Reused) -> Tensor:
        batch, channels, height, width = x.shape
        shaped = update.corrected().reshape(batch, height, width, channels).permute(0, 3, 1, 2)
        return shaped.contiguous() + x

    return token_sum if tokens_last else lambda x, update: update.added(x)


def _output(_entry: UnitModule) -> Callable[[Tensor, Reused], Tensor]:
    return lambda _x, output: output.corrected()


REUSE: dict[Role, Callable[[UnitModule], Callable[[Tensor, Reused], Tensor]]] = {
    Role.TRANSFORMER: _residual,
    Role.RESNET: _residual,
    Role.SAMPLER: _output,
    Role.ENTRY: _output,
    Role.OUTPUT: _output,
}
