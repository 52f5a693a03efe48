"""Fit corrections in closed form: least squares, step after step, on the cached run's own path.

All calibration pictures advance together, in batches, so that the statistics of a step are complete
before any picture takes it. Where units are reused, a step takes two UNet calls a batch: first the
teacher, the uncached UNet on the x_t that the corrected cached run has reached, whose unit values y
are compared with the cached values c; then the cached step itself with the corrections found. A y
taken on inputs that already hold reused values was tried too, and brought pictures less close.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from schedules.rules import all_compute
from workers.cached_unet import CacheRun, installed
from workers.correction import Correction, Origin
from workers.fixes import by_unit, fixes, forecast
from workers.sampler import Walk, encode, initial_latents

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from schedules.schedule import Reuse
    from workers.fixes import Fix
    from workers.pipeline import Model
    from workers.sampler import Frame, Prompt

    Progress = Callable[[str, int, int], None]

RIDGE = 64.0
TINY = 1e-12


@torch.inference_mode()
def fit(
    model: Model,
    frame: Frame,
    prompts: Sequence[Prompt],
    *,
    two_tap: bool = False,
    batch: int = 8,
    progress: Progress = lambda _stage, _done, _total: None,
) -> Correction:
    """Return the correction of the frame's schedule that fits these pictures best.

    The kind is "closed-form" (CacheQuant's DEC, CVPR 2025, on the student's own trajectory) or
    "two-tap". `progress("correction", step, steps)` is told how far it is.
    """
    fitting = _Fitting(model, frame, two_tap)
    chunks = [prompts[i : i + batch] for i in range(0, len(prompts), batch)]
    rollouts = [fitting.rollout(chunk) for chunk in chunks]
    for step in range(frame.schedule.steps):
        fitting.solve(step, rollouts)
        for rollout in rollouts:
            fitting.advance(step, rollout)
        progress("correction", step + 1, frame.schedule.steps)
    return fitting.correction()


@dataclass(frozen=True, slots=True)
class _Rollout:
    """One batch between two steps: its latents and solver state, and its cache."""

    walk: Walk
    run: CacheRun


class _Fitting:
    """The fixes found so far, shared by all rollouts."""

    def __init__(self, model: Model, frame: Frame, two_tap: bool) -> None:
        self._model, self._frame, self._two_tap = model, frame, two_tap
        graph = model.units.graph
        reuses = frame.schedule.reuses(graph)
        self._forecast = forecast(reuses) if two_tap else ()
        self._reuses: list[list[Reuse]] = [[] for _ in range(frame.schedule.steps)]
        for reuse in reuses:
            self._reuses[reuse.step].append(reuse)
        self._teacher = CacheRun(all_compute(1, graph), model.units)
        self._fixes: list[dict[int, Fix]] = [{} for _ in self._reuses]
        self._terms: dict[Reuse, Tensor] = {}

    def rollout(self, prompts: Sequence[Prompt]) -> _Rollout:
        model, frame = self._model, self._frame
        noise = initial_latents(model, prompts, frame)
        walk = Walk(model, encode(model, prompts, frame), noise, frame)
        run = CacheRun(frame.schedule, model.units, self._fixes, self._forecast)
        return _Rollout(walk, run)

    def solve(self, step: int, rollouts: Sequence[_Rollout]) -> None:
        """Find the fixes of a step from the teacher's values over all rollouts."""
        if reuses := self._reuses[step]:
            sums = zip(*(self._observed(step, rollout) for rollout in rollouts), strict=True)
            for reuse, parts in zip(reuses, sums, strict=True):
                self._keep(reuse, least_squares(torch.stack(parts).sum(0)))

    def _observed(self, step: int, rollout: _Rollout) -> list[Tensor]:
        """Return the moments of every reuse of a step over one batch."""
        self._teacher.begin_step(0)
        with installed(self._model.units, self._teacher):
            rollout.walk.predict(step)
        return [self._moments(reuse, rollout.run) for reuse in self._reuses[step]]

    def _moments(self, reuse: Reuse, run: CacheRun) -> Tensor:
        u, value = reuse.unit, run.values[reuse.unit]
        has_two = self._two_tap and reuse.before is not None
        inputs = [value, value - run.before[u]] if has_two else [value]
        tokens_last = self._model.units.modules[u].tokens_last
        return moments(inputs, self._teacher.values[u] - value, tokens_last=tokens_last)

    def _keep(self, reuse: Reuse, terms: Tensor) -> None:
        missing = 2 + self._two_tap - len(terms)
        terms = torch.cat([terms, terms.new_zeros(missing, terms.shape[1])]).unsqueeze(1)
        self._terms[reuse] = terms
        tokens_last = self._model.units.modules[reuse.unit].tokens_last
        device, dtype = self._model.device, self._model.dtype
        (fix,) = fixes(terms.to(device, dtype), [reuse], tokens_last=tokens_last)
        self._fixes[reuse.step][reuse.unit] = fix

    def advance(self, step: int, rollout: _Rollout) -> None:
        rollout.run.begin_step(step)
        with installed(self._model.units, rollout.run):
            rollout.walk.advance(step, rollout.walk.predict(step))

    def correction(self) -> Correction:
        kind = "two-tap" if self._two_tap else "closed-form"
        graph = self._model.units.graph
        terms = {
            graph.units[u].name: torch.cat([self._terms[reuse] for reuse in reuses], 1)
            for u, reuses in by_unit(self._terms).items()
        }
        return Correction.of(Origin.of(self._model, self._frame, kind), terms)


def moments(inputs: Sequence[Tensor], rest: Tensor, *, tokens_last: bool) -> Tensor:
    """Return per channel the sums of products of (1, inputs…, rest), C × (K+2) × (K+2), float64.

    Sums of several batches add up. Tensors are B × C × h × w, or B × positions × C.
    """
    axis = -1 if tokens_last else 1
    columns = [x.double().movedim(axis, 0).flatten(1) for x in (*inputs, rest)]
    rows = torch.stack([torch.ones_like(columns[0]), *columns], 1)
    return rows @ rows.mT


def least_squares(sums: Tensor, ridge: float = RIDGE) -> Tensor:
    """Return (K+1) × C terms: γ − 1, β, δ of rest = (γ − 1) ⊙ c + δ ⊙ (c − c′) + β.

    As if `ridge` more samples had been seen that need no correction and vary as much as the
    unit's channels do on average: it decides where channels hardly vary or samples are few.
    """
    count = sums[:, :1, 0]
    means = sums[:, 0, 1:] / count
    spread = sums[:, 1:, 1:] / count[..., None] - means[:, :, None] * means[:, None, :]
    inputs, cross = spread[:, :-1, :-1], spread[:, :-1, -1:]
    usual = inputs.diagonal(dim1=1, dim2=2).mean(0).clamp(min=TINY)
    weights = torch.linalg.solve(inputs + torch.diag(usual) * (ridge / count[..., None]), cross)
    slopes = weights.squeeze(2)
    shift = means[:, -1] * (count / (count + ridge)).squeeze(1) - (slopes * means[:, :-1]).sum(1)
    return torch.stack([slopes[:, 0], shift, *slopes[:, 1:].unbind(1)])
