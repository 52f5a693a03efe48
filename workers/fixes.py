"""How a correction is applied: a multiply-add a tap and reuse, all shapes known beforehand."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from workers.correction import TERMS, Correction
from workers.errors import CalibrationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from torch import Tensor

    from schedules.schedule import Reuse, Schedule
    from workers.correction import Origin
    from workers.units import UNetUnits

    Fixes = Mapping[int, "Fix"]


@dataclass(frozen=True, slots=True)
class Fix:
    """The correction of one reuse, shaped to broadcast over the unit's value.

    It belongs to the values computed at exactly `sources`: the last compute and the one before.
    """

    sources: tuple[int, int | None]
    gain: Tensor
    shift: Tensor
    slope: Tensor | None

    def __call__(self, value: Tensor, before: Tensor) -> Tensor:
        """Return γ ⊙ c + β, or γ ⊙ c + δ ⊙ (c − c′) + β with gain γ + δ and slope −δ."""
        corrected = _scaled(value, self.gain, self.shift)
        return corrected if self.slope is None else corrected.addcmul_(before, self.slope)

    def added(self, x: Tensor, value: Tensor, before: Tensor) -> Tensor:
        """Return x + the corrected value, in one new tensor.

        Half precision has too few digits to add the terms to x one by one.
        """
        if x.dtype.itemsize < 4:
            return self(value, before).add_(x)
        total = torch.addcmul(x, value, self.gain)
        if self.slope is not None:
            total.addcmul_(before, self.slope)
        return total.add_(self.shift)


def _scaled(value: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """Return γ ⊙ c + β.

    The fused operation has no vector code on a CPU where both terms have one number a plane: two
    operations that have take half the time.
    """
    per_plane = gain.ndim == 3
    if per_plane and value.device.type == "cpu":
        return (value * gain).add_(shift)
    return torch.addcmul(shift, value, gain)


def identity(origin: Origin, schedule: Schedule, units: UNetUnits) -> Correction:
    """Return the correction of a schedule that changes nothing."""
    shapes = _shapes(origin, by_unit(schedule.reuses(units.graph)), units)
    return Correction.of(origin, {name: torch.zeros(shape) for name, shape in shapes.items()})


def _shapes(
    origin: Origin, reuses: Mapping[int, Sequence[Reuse]], units: UNetUnits
) -> dict[str, tuple[int, ...]]:
    entries = ((units.modules[u], len(of_unit)) for u, of_unit in reuses.items())
    return {e.unit.name: (TERMS[origin.kind], count, e.channels) for e, count in entries}


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run needs of its correction.

    `fixes[s][u]` corrects the reuse of unit u at step s; of the units `forecast` the value before
    the last is needed too.
    """

    fixes: Sequence[Fixes]
    forecast: frozenset[int]


def prepared(correction: Correction, schedule: Schedule, units: UNetUnits) -> Prepared:
    """Return the fix of every reuse, made once for all runs.

    Raises CalibrationError when the correction was made for another schedule or UNet.
    """
    key = (schedule, units)
    if key not in correction.prepared:
        correction.prepared[key] = _prepared(correction, schedule, units)
    known: Prepared = correction.prepared[key]
    return known


def _prepared(correction: Correction, schedule: Schedule, units: UNetUnits) -> Prepared:
    found = schedule.reuses(units.graph)
    reuses = by_unit(found)
    shapes = {name: tuple(table.shape) for name, table in correction.terms.items()}
    wanted = _shapes(correction.origin, reuses, units)
    if shapes != wanted or not _is_for(correction.origin, schedule, units):
        raise CalibrationError(f"correction {correction.id} is for another schedule or UNet")
    rows: list[dict[int, Fix]] = [{} for _ in range(schedule.steps)]
    for reuse, fix in _with_fixes(correction.terms, reuses, units):
        rows[reuse.step][reuse.unit] = fix
    return Prepared(rows, forecast(found) if correction.is_two_tap else frozenset())


def forecast(reuses: Iterable[Reuse]) -> frozenset[int]:
    """Return the units that reuse after a second compute: two taps forecast what they give."""
    return frozenset(reuse.unit for reuse in reuses if reuse.before is not None)


def _is_for(origin: Origin, schedule: Schedule, units: UNetUnits) -> bool:
    if schedule.digest == origin.schedule:
        return True  # normalised already, as the schedules of all plans are
    return schedule.normalised(units.graph).digest == origin.schedule


def _with_fixes(
    terms: Mapping[str, Tensor], reuses: Mapping[int, Sequence[Reuse]], units: UNetUnits
) -> Iterator[tuple[Reuse, Fix]]:
    for u, of_unit in reuses.items():
        entry = units.modules[u]
        found = fixes(terms[entry.unit.name], of_unit, tokens_last=entry.tokens_last)
        yield from zip(of_unit, found, strict=True)


def by_unit(reuses: Iterable[Reuse]) -> dict[int, list[Reuse]]:
    """Return the reuses of each unit that has any, in their order."""
    found: dict[int, list[Reuse]] = defaultdict(list)
    for reuse in reuses:
        found[reuse.unit].append(reuse)
    return dict(found)


def fixes(table: Tensor, reuses: Sequence[Reuse], *, tokens_last: bool) -> Iterator[Fix]:
    """Yield the fix of each reuse of one unit from its K × reuses × C terms."""
    shaped = table if tokens_last else table[..., None, None]
    gain, shift, *delta = shaped.unbind()
    slopes = (-delta[0]).unbind() if delta else (None,) * len(reuses)
    gains = (1 + sum(delta, gain)).unbind()
    for reuse, g, b, slope in zip(reuses, gains, shift.unbind(), slopes, strict=True):
        has_two = reuse.before is not None
        yield Fix((reuse.source, reuse.before), g, b, slope if has_two else None)
