"""Adapters beside layers, as loaders of LoRA weights put them there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Adapted(nn.Module):
    """A layer with a low-rank adapter beside it."""

    def __init__(self, base: nn.Linear) -> None:
        """Put random weights beside those of `base`."""
        super().__init__()
        self.base_layer = base
        self.down = nn.Linear(base.in_features, 2, bias=False)
        self.up = nn.Linear(2, base.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Add what the adapter makes of the input."""
        adapted: Tensor = self.base_layer(x) + self.up(self.down(x))
        return adapted


def adapt(unet: nn.Module) -> nn.Module:
    """Put an adapter beside every linear layer of a UNet; return it."""
    layers = [(n, m) for n, m in unet.named_modules() if isinstance(m, nn.Linear)]
    for name, layer in layers:
        unet.set_submodule(name, Adapted(layer))
    return unet
