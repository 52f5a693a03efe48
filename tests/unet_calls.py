"""Single calls of a cached UNet, and what they add to the identity path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from schedules.schedule import Schedule
from workers.cached_unet import CacheRun, cached
from workers.units import example_inputs

if TYPE_CHECKING:
    from torch import Tensor

    from workers.correction import Correction
    from workers.pipeline import Model


@torch.inference_mode()
def ran(model: Model, run: CacheRun, step: int, value: float = 0.0) -> Tensor:
    """Run the UNet once at a step, on an input that depends on `value`."""
    run.begin_step(step)
    return unpacked(model.pipe.unet(**inputs_of(model, value), return_dict=False))


def inputs_of(model: Model, value: float = 0.0) -> dict[str, Any]:
    """Return what a UNet is called with, its sample moved by `value`."""
    config = model.pipe.unet.config
    sample = noise(config.in_channels, config.sample_size) + value
    return {**example_inputs(model.pipe.unet), "sample": sample}


def noise(channels: int, side: int) -> Tensor:
    """Return the same noise of that shape every time."""
    return torch.randn((1, channels, side, side), generator=torch.Generator().manual_seed(5))


def reusing(model: Model, name: str, computes: int = 1) -> Schedule:
    """Return some steps that compute everything, and one more that reuses one unit."""
    units = model.units.graph.units
    last = tuple(unit.name != name for unit in units)
    return Schedule((*((True,) * len(units),) * computes, last))


RESIDUALS = [
    ("sd1", "down.1.resnet.0"),  # with a 1×1 shortcut
    ("sd1", "mid.resnet.0"),
    ("sd1", "up.1.attn.0"),  # projected by convolution
    ("sd2", "down.0.attn.1"),  # projected by a linear layer
    ("sdxl", "mid.attn.0"),
]


def updates(
    model: Model, unit: str, schedule: Schedule, correction: Correction | None = None
) -> tuple[list[Tensor], list[Tensor]]:
    """Return what a residual unit adds to its identity path at each step, and its inputs."""
    module: Any = model.units.modules[model.units.graph.index(unit)].module
    identity = getattr(module, "conv_shortcut", None) or (lambda x: x)
    seen: list[tuple[Tensor, Tensor]] = []
    with cached(model.units, schedule, correction) as run:
        handle = module.register_forward_hook(lambda _m, x, y: seen.append((x[0], unpacked(y))))
        for step in range(schedule.steps):
            ran(model, run, step, value=float(step))
        handle.remove()
    with torch.inference_mode():
        return [y - identity(x) for x, y in seen], [x for x, _ in seen]


def unpacked(output: Any) -> Tensor:
    """Return the tensor a module gave, alone or first in a tuple."""
    tensor: Tensor = output[0] if isinstance(output, tuple) else output
    return tensor
