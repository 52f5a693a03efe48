"""How a unit's output is made of what is reused: in the order in which the module itself adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schedules.units import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from workers.units import UnitModule


def _residual(entry: UnitModule) -> Callable[[Tensor, Tensor], Tensor]:
    """Identity path + update, in the order and dtype the module itself adds them."""
    module: Any = entry.module
    if entry.unit.role is Role.TRANSFORMER:
        return _transformer_sum(module.use_linear_projection)
    shortcut, scale = module.conv_shortcut, module.output_scale_factor

    def resnet_sum(x: Tensor, update: Tensor) -> Tensor:
        total = (x if shortcut is None else shortcut(x)) + update
        return total if scale == 1.0 else total / scale

    return resnet_sum


def _transformer_sum(tokens_last: bool) -> Callable[[Tensor, Tensor], Tensor]:
    def map_sum(x: Tensor, update: Tensor) -> Tensor:
        return update + x

    def token_sum(x: Tensor, update: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        shaped = update.reshape(batch, height, width, channels).permute(0, 3, 1, 2)
        return shaped.contiguous() + x

    return token_sum if tokens_last else map_sum


def _output(_entry: UnitModule) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda _x, output: output


REUSE: dict[Role, Callable[[UnitModule], Callable[[Tensor, Tensor], Tensor]]] = {
    Role.TRANSFORMER: _residual,
    Role.RESNET: _residual,
    Role.SAMPLER: _output,
    Role.ENTRY: _output,
    Role.OUTPUT: _output,
}
