"""How much the units of a model change from step to step in an uncached run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from schedules.change import ChangeProfile

if TYPE_CHECKING:
    from torch import Tensor

    from schedules.units import UnitGraph
    from workers.cached_unet import CacheRun

TINY = 1e-12


class ChangeMeter:
    """Collects d_u(s) of one solver and step count over any number of uncached batches.

    Give `on_step` to `denoise`; both guidance halves of a picture count as one sample.
    """

    def __init__(self, graph: UnitGraph, steps: int) -> None:
        self._count = 0
        self._sum = torch.zeros(len(graph), steps - 1, dtype=torch.float64)
        self._squares = torch.zeros_like(self._sum)
        self._before: list[Tensor] = []

    def on_step(self, step: int, run: CacheRun, latents: Tensor) -> bool:
        """Compare every unit's value with that of the step before."""
        batch = latents.shape[0]
        if step > 0:
            pairs = zip(run.values, self._before, strict=True)
            changes = torch.stack([relative_change(new, old, batch) for new, old in pairs])
            self._sum[:, step - 1] += changes.sum(1).double().cpu()
            self._squares[:, step - 1] += changes.square().sum(1).double().cpu()
        else:
            self._count += batch
        self._before = list(run.values)
        return True

    def profile(self) -> ChangeProfile:
        """Return mean and standard deviation over all samples so far."""
        mean = self._sum / self._count
        variance = (self._squares / self._count - mean.square()).clamp(min=0)
        return ChangeProfile(_rows(mean), _rows(variance.sqrt()), self._count)


def relative_change(new: Tensor, old: Tensor, batch: int) -> Tensor:
    """Return ‖new − old‖₁ / ‖new‖₁ of each picture (Wimbauer et al., CVPR 2024, eq. 6)."""

    def norm(x: Tensor) -> Tensor:
        per_sample = x.float().abs().flatten(1).sum(1)
        return per_sample.view(-1, batch).sum(0)

    return norm(new - old) / norm(new).clamp(min=TINY)


def _rows(table: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(f"{x:.6g}") for x in row) for row in table.tolist())
