"""What reuse of every age leaves of a unit's error once a correction is fitted to it.

All products of a unit's values at two steps are summed once for each channel; the terms of a
correction for any pair of steps, and what is left after it, follow from these sums alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from workers.fitting import least_squares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    Before = Callable[[int, int, int], int | None]


def as_far_back(_unit: int, source: int, lag: int) -> int | None:
    """Return which value came before the one of step `source` if all reuses were as old as this."""
    return max(source - lag, 0) if source else None


@dataclass(frozen=True, slots=True)
class _Fit:
    """The terms of one reuse: of the value of step `source`, and of `before`, at `step`."""

    step: int
    source: int
    before: int | None
    terms: Tensor


class LagErrors:
    """The corrected reuses of one unit over one batch: `values[s]` are what it computes at step s.

    `before(unit, source, lag)` says which computed value precedes the one of step `source`.
    """

    def __init__(
        self,
        unit: int,
        values: Sequence[Tensor],
        longest: int,
        before: Before,
        *,
        tokens_last: bool,
    ) -> None:
        self._tokens_last, self._values = tokens_last, values
        self._fits = list(self._fitted(unit, longest, before))

    def _flat(self, value: Tensor) -> Tensor:
        """Return a value as pictures × channels × positions, in single precision."""
        return (value.movedim(-1, 1) if self._tokens_last else value).flatten(2).float()

    def _stacked(self) -> Tensor:
        """Return all values, steps first; made anew when asked for, because they are large."""
        return torch.stack([self._flat(value) for value in self._values])

    def _fitted(self, unit: int, longest: int, before: Before) -> Iterator[list[_Fit]]:
        sums = _products(self._stacked())
        for step in range(len(self._values)):
            sources = range(step - 1, max(step - longest, 0) - 1, -1)
            pairs = ((source, before(unit, source, step - source)) for source in sources)
            yield [_fit(sums, step, source, earlier) for source, earlier in pairs]

    def effects(self, gradients: Sequence[Tensor], longest: int) -> Tensor:
        """Return steps × lags × pictures: gradients · what correction leaves of each reuse."""
        values = self._stacked()
        found = values.new_zeros(len(values), longest, values.shape[1])
        for step, fits in enumerate(self._fits):
            gradient = self._flat(gradients[step])
            products = torch.einsum("bcn,sbcn->sbc", gradient, values[: step + 1])
            for lag, fit in enumerate(fits, start=1):
                found[step, lag - 1] = _left(fit, products, gradient.sum(2))
        return found


def _fit(sums: Tensor, step: int, source: int, before: int | None) -> _Fit:
    terms = least_squares(_moments(sums, step, source, before)).float()
    return _Fit(step, source, before, terms)


def _products(values: Tensor) -> Tensor:
    """Return per channel the sums of products of (1, value of step 0, 1, …), in float64."""
    rows = values.double().permute(2, 0, 1, 3).flatten(2)
    rows = torch.cat([torch.ones_like(rows[:, :1]), rows], 1)
    return rows @ rows.mT


def _moments(sums: Tensor, step: int, source: int, before: int | None) -> Tensor:
    """Return the sums of products of (1, c, c − c′ if there is one, y − c)."""
    inputs = [{0: 1.0}, {source + 1: 1.0}]
    if before is not None:
        inputs.append({source + 1: 1.0, before + 1: -1.0})
    mix = sums.new_zeros(len(inputs) + 1, sums.shape[1])
    for row, weights in enumerate((*inputs, {step + 1: 1.0, source + 1: -1.0})):
        for column, weight in weights.items():
            mix[row, column] = weight
    return mix @ sums @ mix.T


def _left(fit: _Fit, products: Tensor, total: Tensor) -> Tensor:
    """Return gradient · (corrected value − what is computed), summed over channels."""
    gain, shift, *slope = fit.terms
    value = products[fit.source]
    left: Tensor = value * (1 + gain) + total * shift - products[fit.step]
    if fit.before is not None:
        left = left + slope[0] * (value - products[fit.before])
    return left.sum(1)
