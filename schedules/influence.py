"""What a reuse does to the finished picture, to first order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from schedules.errors import InvalidProfile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from schedules.schedule import Schedule
    from schedules.units import UnitGraph


@dataclass(frozen=True, slots=True, eq=False)
class Influence:
    """First-order effect of every possible reuse on projections of the finished picture.

    `effects[u, s, l − 1, k]` is w_k · J_{u,s} (C_u(s − l) − C_u(s)): how the k-th random projection
    of the finished picture changes when unit u at step s reuses its value of l steps ago, where J
    is the derivative of the picture with respect to the unit's value in an uncached run. The w_k
    are standard normal, so that the mean square over k of a sum of effects is the expected squared
    error of the picture those reuses make together. Reuse before step 0 holds zeros.

    Raises InvalidProfile when the table is not units × steps × lags × projections.
    """

    effects: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.effects.ndim != 4 or 0 in self.effects.shape:
            raise InvalidProfile(f"effects need four axes, not the shape {self.effects.shape}")

    @property
    def units(self) -> int:
        """Number of measured units."""
        return int(self.effects.shape[0])

    @property
    def steps(self) -> int:
        """Number of denoising steps of the measured run."""
        return int(self.effects.shape[1])

    @property
    def longest_lag(self) -> int:
        """How many steps back a value was measured at most."""
        return int(self.effects.shape[2])

    def squared_error(self, sources: NDArray[np.int64], reused: NDArray[np.bool_]) -> float:
        """Return the expected squared error of a picture, infinite beyond the longest lag.

        `sources[s, u]` is the step whose value stands at step s; `reused[s, u]` where it is used.
        """
        s, u = np.nonzero(reused)
        lags = s - sources[s, u]
        if len(lags) and lags.max() > self.longest_lag:
            return float("inf")
        total = self.effects[u, s, lags - 1].sum(0, dtype=np.float64)
        return float(np.square(total).mean())


def expected_error(influence: Influence, schedule: Schedule, graph: UnitGraph) -> float:
    """Return the expected squared error of a picture under a schedule, to first order."""
    return Table(influence, graph).error(np.array(schedule.normalised(graph).computes))


class Table:
    """Prices schedules given as arrays, steps × units; remembers what each row leaves alive."""

    def __init__(self, influence: Influence, graph: UnitGraph) -> None:
        if influence.units != len(graph):
            raise InvalidProfile(f"{influence.units} units measured, the UNet has {len(graph)}")
        self._influence = influence
        self._graph = graph
        self._live: dict[bytes, NDArray[np.bool_]] = {}
        self._steps = np.arange(influence.steps)[:, None]

    def live(self, row: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which units are needed when `row` says who computes."""
        key = row.tobytes()
        if key not in self._live:
            self._live[key] = np.array(self._graph.live(row.tolist()))
        return self._live[key]

    def error(self, computes: NDArray[np.bool_]) -> float:
        """Return the expected squared error of a picture; the rows must hold no dead work."""
        sources = np.maximum.accumulate(np.where(computes, self._steps, 0), axis=0)
        live = np.stack([self.live(row) for row in computes])
        return self._influence.squared_error(sources, live & ~computes)


def spent_ms(computes: NDArray[np.bool_], unit_ms: NDArray[np.float64]) -> float:
    """Return the time of all computed units, of which unit u takes `unit_ms[u]`."""
    return float(computes.sum(0) @ unit_ms)
