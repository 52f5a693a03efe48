"""Measure what every reuse would do to the finished picture, from one uncached run with gradients.

For a random projection of the picture, one backward pass gives its derivative with respect to every
unit's value at every step; the product with the difference of two values is the first-order effect
of using one for the other.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from schedules.influence import Influence
from schedules.rules import all_compute
from workers.sampler import Walk, encode, initial_latents
from workers.units import replaced_forward

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from torch.nn import Module

    from workers.pipeline import Model
    from workers.sampler import Frame, Prompt
    from workers.units import UNetUnits, UnitModule

KEPT_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class InfluenceSettings:
    """How exactly influence is measured: projections of each picture, steps back, batch size.

    `frugal` computes each UNet call again for every projection and keeps the memory of one step
    only; unless told, large UNets and long runs do.
    """

    projections: int = 2
    longest_lag: int = 12
    batch: int = 4
    frugal: bool | None = None

    def frugal_with(self, unet: Module, steps: int) -> bool:
        """Return whether calls are computed again: one keeps of the order of its weights."""
        weights = sum(w.numel() * w.element_size() for w in unet.parameters())
        return steps * weights > KEPT_BYTES if self.frugal is None else self.frugal


def measure_influence(
    model: Model,
    requests: Sequence[Prompt],
    frame: Frame,
    settings: InfluenceSettings,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Influence:
    """Return the influence of all reuses over all requests, each with its own projections.

    `frame` gives size, guidance, solver and number of steps; its schedule is not followed.
    """
    schedule = all_compute(frame.schedule.steps, model.units.graph)
    uncached = replace(frame, schedule=schedule, correction=None)
    measured = []
    for start in range(0, len(requests), settings.batch):
        batch = requests[start : start + settings.batch]
        measured.append(_measured(model, batch, uncached, settings, seed=start))
        progress(min(start + settings.batch, len(requests)), len(requests))
    return Influence(np.concatenate(measured, axis=-1))


def _measured(
    model: Model, requests: Sequence[Prompt], frame: Frame, settings: InfluenceSettings, seed: int
) -> NDArray[np.float32]:
    """Return effects of one batch: units × steps × lags × (projections · pictures)."""
    taps = Taps(model.units, frame.schedule.steps)
    generator = torch.Generator().manual_seed(seed)
    effects = []
    with taps.attached():  # to the end: what is recomputed on the way back is watched again
        picture = _observed_picture(model, requests, frame, settings, taps)
        for left in reversed(range(settings.projections)):
            gradients = _projected(picture, taps, generator, keep=left > 0)
            effects.append(taps.effects(gradients, settings.longest_lag, len(requests)))
    return torch.cat(effects, -1).float().cpu().numpy()


def _projected(
    picture: Tensor, taps: Taps, generator: torch.Generator, *, keep: bool
) -> tuple[Tensor, ...]:
    weights = torch.randn(picture.shape, generator=generator).to(picture)
    return torch.autograd.grad((weights * picture).sum(), taps.nudges, retain_graph=keep)


def _observed_picture(
    model: Model, requests: Sequence[Prompt], frame: Frame, settings: InfluenceSettings, taps: Taps
) -> Tensor:
    with torch.no_grad():
        conditioning = encode(model, requests, frame)
        noise = initial_latents(model, requests, frame)
    walk = Walk(model, conditioning, noise, frame)
    frugal = settings.frugal_with(model.pipe.unet, frame.schedule.steps)
    for step in range(frame.schedule.steps):
        walk.advance(step, _predicted(walk, step, taps, frugal=frugal))
    return model.family.reveal(model.pipe, walk.latents)


def _predicted(walk: Walk, step: int, taps: Taps, *, frugal: bool) -> Tensor:
    def predict(latents: Tensor) -> Tensor:
        taps.step = step  # again when the step is recomputed on the way back
        return walk.predict(step, latents)

    if not frugal:
        return predict(walk.latents)
    recomputed: Tensor = checkpoint(predict, walk.latents, use_reentrant=False)
    return recomputed


class Taps:
    """Adds a zero to every unit's value at every step, whose gradient can be asked for."""

    def __init__(self, units: UNetUnits, steps: int) -> None:
        self._units = units
        self._steps = steps
        self._values: dict[tuple[int, int], Tensor] = {}
        self._zeros: dict[tuple[int, int], Tensor] = {}
        self.step = 0

    @property
    def nudges(self) -> list[Tensor]:
        """The zeros, unit by unit and step by step."""
        return [
            self._zeros[u, s] for u in range(len(self._units.graph)) for s in range(self._steps)
        ]

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Watch the units inside this context."""
        with ExitStack() as stack:
            for u, entry in enumerate(self._units.modules):
                stack.enter_context(self._watching(u, entry))
            yield

    @contextmanager
    def _watching(self, u: int, entry: UnitModule) -> Iterator[None]:
        if entry.tap is None:
            with replaced_forward(entry.module, self._nudging(u, entry)):
                yield
            return
        handle = entry.tap.register_forward_hook(lambda _m, _i, update: self._nudged(u, update))
        try:
            yield
        finally:
            handle.remove()

    def _nudging(self, u: int, entry: UnitModule) -> Callable[..., Any]:
        original = entry.module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            return entry.packed(self._nudged(u, entry.unpacked(original(*args, **kwargs))))

        return forward

    def _nudged(self, u: int, value: Tensor) -> Tensor:
        key = u, self.step
        if key not in self._zeros:
            self._values[key] = value.detach()
            self._zeros[key] = torch.zeros_like(value, requires_grad=True)
        return value + self._zeros[key]

    def effects(self, gradients: Sequence[Tensor], longest: int, pictures: int) -> Tensor:
        """Return units × steps × lags × pictures; both guidance halves count for their picture."""
        units = len(self._units.graph)
        found = torch.zeros(units, self._steps, longest, pictures, device=gradients[0].device)
        for place, gradient in enumerate(gradients):
            u, s = divmod(place, self._steps)
            for lag in range(1, min(longest, s) + 1):
                change = self._values[u, s - lag] - self._values[u, s]
                products = (gradient * change).float().flatten(1).sum(1)
                found[u, s, lag - 1] = products.view(-1, pictures).sum(0)
        return found
