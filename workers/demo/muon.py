"""Muon: momentum whose update of every matrix is made nearly orthogonal before it is applied.

Jordan et al., 2024 (kellerjordan.github.io/posts/muon). Convolutions count as matrices of output
channels by all the rest.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

LEAST_SIDE = 16
MOMENTUM = 0.95
# The odd quintic whose five-fold application brings all singular values near 1.
CUBE = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
TINY = 1e-7


class Muon(Optimizer):
    """Trains parameters of two and more dimensions; `lr` may be a tensor, to be set in place.

    The update is scaled by √max(1, rows / columns), so that one rate fits all shapes.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: Tensor, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Move all parameters along their gradients; raises ValueError for a closure."""
        if closure is not None:
            raise ValueError("Muon asks for gradients, not for a closure")
        for group in self.param_groups:
            for alike in _by_shape(group["params"]):
                self._move(alike, group["lr"], group["weight_decay"])

    def _move(self, parameters: Sequence[nn.Parameter], lr: Tensor, weight_decay: float) -> None:
        gradients = torch.stack([_gradient(p).flatten(1) for p in parameters])
        kept = [self._momentum(p) for p in parameters]
        momentum = MOMENTUM * torch.stack(kept) + gradients
        for old, new in zip(kept, momentum, strict=True):
            old.copy_(new)
        updates = orthogonal(gradients + MOMENTUM * momentum)
        rows, columns = updates.shape[1:]
        rate = lr * max(1.0, rows / columns) ** 0.5
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - lr * weight_decay).sub_(rate * update.view(parameter.shape))

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        state: dict[str, Tensor] = self.state[parameter]
        if "momentum" not in state:
            flat = torch.flatten(parameter.detach(), 1)
            state["momentum"] = torch.zeros_like(flat, memory_format=torch.contiguous_format)
        return state["momentum"]


def orthogonal(matrices: Tensor) -> Tensor:
    """Return K matrices, K × rows × columns, with all singular values brought near 1.

    Newton–Schulz iteration. Every iterate is a polynomial of the Gram matrix times the matrix, so
    that only the square polynomials are iterated: convolutions are far wider than high.
    """
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + TINY)
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    gram, a, b, c = x @ x.mT, *CUBE
    identity = torch.eye(len(gram[0]), device=x.device, dtype=x.dtype)
    product = identity
    for _ in range(ITERATIONS):
        factor = a * identity + b * gram + c * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    made: Tensor = product @ x
    return made.mT if tall else made


def matrices_of(networks: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters that Muon trains, and all others.

    Embeddings are looked up, not multiplied; a matrix with few rows or columns has no room.
    """
    looked_up = {id(m.weight) for m in networks.modules() if isinstance(m, nn.Embedding)}
    chosen: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for parameter in networks.parameters():
        fits = parameter.ndim > 1 and min(parameter.flatten(1).shape) >= LEAST_SIDE
        (chosen if fits and id(parameter) not in looked_up else others).append(parameter)
    return chosen, others


def _by_shape(parameters: Iterable[nn.Parameter]) -> Iterable[Sequence[nn.Parameter]]:
    """Return trained parameters in lots of one shape, which are worked on together."""
    lots: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        if parameter.grad is not None:
            lots[parameter.shape].append(parameter)
    return lots.values()


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        raise ValueError("a parameter without a gradient cannot be moved")
    return parameter.grad
