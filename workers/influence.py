"""Measure what every reuse would do to the finished picture, from one run with gradients.

For a random projection of the picture, one backward pass gives its derivative with respect to every
unit's value at every step; the product with the difference of two values is the first-order effect
of using one for the other, and with what a correction leaves of that difference that of using the
corrected one.

The run may be a cached one: at each step the uncached UNet is called on the x_t that it has
reached, and gives values and derivatives; the cached one gives the step.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from schedules.influence import Influence, Influences
from workers.cached_unet import cache_run, installed
from workers.lag_errors import LagErrors, as_far_back
from workers.sampler import Walk, encode, following, initial_latents
from workers.units import replaced_forward

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from torch.nn import Module

    from schedules.schedule import Schedule
    from workers.cached_unet import CacheRun
    from workers.lag_errors import Before
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
) -> Influences:
    """Return the influence of all reuses over all requests, each with its own projections.

    It is measured along the frame's own run, cached and corrected if it is; nothing but that of
    an uncached one is known of how old the values before are, which are then taken to be as old
    again.
    """
    measured = []
    for start in range(0, len(requests), settings.batch):
        batch = requests[start : start + settings.batch]
        measured.append(_measured(model, batch, frame, settings, seed=start))
        progress(min(start + settings.batch, len(requests)), len(requests))
    plain, corrected = (np.concatenate(kind, axis=-1) for kind in zip(*measured, strict=True))
    return Influences(Influence(plain), Influence(corrected))


def _measured(
    model: Model, requests: Sequence[Prompt], frame: Frame, settings: InfluenceSettings, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return effects of one batch: units × steps × lags × (projections · pictures)."""
    taps = Taps(model.units, frame.schedule.steps)
    generator = torch.Generator().manual_seed(seed)
    effects = []
    picture = _observed_picture(model, requests, frame, settings, taps)
    left = taps.lag_errors(settings.longest_lag, _before(frame.schedule))
    with taps.attached():  # what is recomputed on the way back is watched again
        for rest in reversed(range(settings.projections)):
            gradients = _projected(picture, taps, generator, keep=rest > 0)
            effects.append(taps.effects(gradients, settings.longest_lag, len(requests), left))
    plain, corrected = zip(*effects, strict=True)
    return torch.cat(plain, -1).cpu().numpy(), torch.cat(corrected, -1).cpu().numpy()


def _before(schedule: Schedule) -> Before:
    """Return which computed value precedes another in a schedule."""
    if schedule.is_uncached:
        return as_far_back

    def computed_before(unit: int, source: int, _lag: int) -> int | None:
        earlier = (s for s in reversed(range(source)) if schedule.computes[s][unit])
        return next(earlier, None)

    return computed_before


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
    run = cache_run(model.units, frame.schedule, following(model, frame))
    frugal = settings.frugal_with(model.pipe.unet, frame.schedule.steps)
    for step in range(frame.schedule.steps):
        prediction = _predicted(walk, step, taps, frugal=frugal)
        if not frame.schedule.is_uncached:
            prediction = prediction + (_cached(model, walk, run, step) - prediction).detach()
        walk.advance(step, prediction)
    return model.family.reveal(model.pipe, walk.latents)


@torch.no_grad()
def _cached(model: Model, walk: Walk, run: CacheRun, step: int) -> Tensor:
    run.begin_step(step)
    with installed(model.units, run):
        return walk.predict(step)


def _predicted(walk: Walk, step: int, taps: Taps, *, frugal: bool) -> Tensor:
    def predict(latents: Tensor) -> Tensor:
        taps.step = step  # again when the step is recomputed on the way back
        return walk.predict(step, latents)

    with taps.attached():
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

    def lag_errors(self, longest: int, before: Before) -> list[LagErrors]:
        """Fit corrections to the reuses of every unit."""
        return [
            LagErrors(
                u,
                [self._values[u, s] for s in range(self._steps)],
                longest,
                before,
                tokens_last=entry.tokens_last,
            )
            for u, entry in enumerate(self._units.modules)
        ]

    def effects(
        self, gradients: Sequence[Tensor], longest: int, pictures: int, left: Sequence[LagErrors]
    ) -> tuple[Tensor, Tensor]:
        """Return units × steps × lags × pictures of reuses as they are, and corrected.

        Both guidance halves count for their picture.
        """
        units, steps = len(self._units.graph), self._steps
        of_unit = [gradients[u * steps : (u + 1) * steps] for u in range(units)]
        plain = torch.stack([self._plain(u, of_unit[u], longest) for u in range(units)])
        corrected = torch.stack([e.effects(of_unit[u], longest) for u, e in enumerate(left)])
        halves = (units, steps, longest, -1, pictures)
        return plain.view(halves).sum(3), corrected.view(halves).sum(3)

    def _plain(self, u: int, gradients: Sequence[Tensor], longest: int) -> Tensor:
        found = torch.zeros(self._steps, longest, len(gradients[0]), device=gradients[0].device)
        for s, gradient in enumerate(gradients):
            for lag in range(1, min(longest, s) + 1):
                change = self._values[u, s - lag] - self._values[u, s]
                found[s, lag - 1] = (gradient * change).float().flatten(1).sum(1)
        return found
