"""Tensors that stay where they are, so that recorded work finds them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a UNet is called on; `added` as in Conditioning."""

    sample: Tensor
    timestep: Tensor
    text: Tensor
    added: Mapping[str, Tensor] | None = None

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors, in an order that depends on nothing but their names."""
        added = self.added or {}
        return [self.sample, self.timestep, self.text, *(added[name] for name in sorted(added))]

    @property
    def outline(self) -> Hashable:
        """Names, shapes and types: equal where the same kernels run."""
        names = None if self.added is None else tuple(sorted(self.added))
        return names, tuple((tensor.shape, tensor.dtype) for tensor in self.tensors)

    def given_to(self, unet: Callable[..., Any]) -> Tensor:
        """Call a UNet; return what it predicts."""
        told = {"encoder_hidden_states": self.text, "added_cond_kwargs": self.added}
        noise: Tensor = unet(self.sample, self.timestep, **told, return_dict=False)[0]
        return noise

    def copied(self) -> Inputs:
        """Return the same in tensors of its own, all on the device of the sample."""
        names = sorted(self.added or {})
        sample, timestep, text, *added = (
            tensor.to(self.sample.device, copy=True) for tensor in self.tensors
        )
        told = None if self.added is None else dict(zip(names, added, strict=True))
        return Inputs(sample, timestep, text, told)

    def fill(self, inputs: Inputs) -> None:
        """Write inputs of the same outline into these tensors."""
        for tensor, new in zip(self.tensors, inputs.tensors, strict=True):
            tensor.copy_(new)


class Pinned(list[Any]):
    """Tensors, or None, that stay where they are: what is set is written into them."""

    def __setitem__(self, u: Any, value: Any) -> None:
        """Copy `value` into tensor u."""
        self[u].copy_(value)

    def take(self, values: Sequence[Tensor | None]) -> None:
        """Copy all that are there into place."""
        for u, value in enumerate(values):
            if value is not None:
                self[u] = value

    def reserve(self, u: int, like: Tensor) -> None:
        """Make tensor u, unless it is there."""
        if self[u] is None:
            super().__setitem__(u, torch.zeros_like(like))


@dataclass(frozen=True, slots=True)
class Pins:
    """Where the cached values of all runs of one shape lie, for one run at a time.

    `values` and `before` are as in a CacheRun, `shapes` and `outlines` what units and blocks give.
    """

    values: Pinned
    before: Pinned
    shapes: Sequence[tuple[int, ...]]
    outlines: Mapping[Any, Any]

    @classmethod
    def like(
        cls,
        values: Sequence[Tensor],
        shapes: Sequence[tuple[int, ...]],
        outlines: Mapping[Any, Any],
    ) -> Self:
        """Return pins of the shapes, types and layouts of these values."""
        copies = Pinned(torch.zeros_like(value) for value in values)
        return cls(copies, Pinned([None] * len(copies)), list(shapes), dict(outlines))

    @property
    def tensors(self) -> Iterator[Tensor]:
        """All tensors there are."""
        yield from self.values
        yield from (tensor for tensor in self.before if tensor is not None)

    def reserve(self, units: Iterable[int]) -> None:
        """Make room for the value before the last of these units."""
        for u in units:
            self.before.reserve(u, self.values[u])
