"""What a reuse does to the finished picture, to first order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from schedules.errors import InvalidProfile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from schedules.schedule import Schedule
    from schedules.units import UnitGraph

    Computes = NDArray[np.bool_]
    Effects = NDArray[np.float64]


# Sums of many effects can be small on the few projections there are by chance, and a search finds
# the schedules whose are: this share of an error is that of the sums, the rest of effects alone.
TOGETHER = 0.5
# Of so many groups of rows it is known at most what they leave alive.
MOST_KNOWN = 1024


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

    def joined(self, other: Influence) -> Influence:
        """Return what was measured here and there together, of the same units, steps and lags."""
        return Influence(np.concatenate([self.effects, other.effects], axis=-1))

    def levelled(self) -> Influence:
        """Return the same with every projection counting alike.

        Otherwise the few pictures that any reuse changes much decide alone.
        """
        own = np.square(self.effects[:, :, 0]).mean((0, 1), dtype=np.float64)
        usual = own.mean()
        factors = np.sqrt(usual / np.where(own > 0, own, usual)) if usual > 0 else np.ones_like(own)
        return Influence((self.effects * factors).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Influences:
    """Influence of reuses as they are, and of reuses that a fitted correction brings close."""

    plain: Influence
    corrected: Influence


def expected_error(influence: Influence, schedule: Schedule, graph: UnitGraph) -> float:
    """Return the expected squared error of a picture under a schedule, to first order."""
    return Table(influence, graph).of(schedule)


class Table:
    """Prices schedules given as arrays, steps × units; remembers what each row leaves alive.

    Rows must hold no dead work. A value older than the longest lag makes the error infinite. The
    share `together` of an error is that of the summed effects, the rest that of each alone.
    """

    @classmethod
    def to_choose_by(cls, influence: Influence, graph: UnitGraph) -> Self:
        """Return the table that schedules are to be chosen by: chance and few pictures count less.

        Its errors are for comparing schedules, not those of a picture.
        """
        return cls(influence.levelled(), graph, TOGETHER)

    def __init__(self, influence: Influence, graph: UnitGraph, together: float = 1.0) -> None:
        if influence.units != len(graph):
            raise InvalidProfile(f"{influence.units} units measured, the UNet has {len(graph)}")
        self._graph = graph
        self._together = together
        self._longest = influence.longest_lag
        # Behind the projections: each effect's own square, and whether a reuse is too old, which
        # is told by a lag of its own.
        alone = np.square(influence.effects).mean(-1, keepdims=True)
        effects = np.concatenate([influence.effects, alone], -1)
        self._effects = np.pad(effects, ((0, 0), (0, 0), (0, 1), (0, 1)))
        self._effects[:, :, -1, -1] = 1
        self._live: dict[bytes, Computes] = {}
        self._lives: dict[bytes, Computes] = {}
        self._steps = np.arange(influence.steps)[:, None]

    def of(self, schedule: Schedule) -> float:
        """Return the expected squared error of a picture under a schedule."""
        return self.error(np.array(schedule.normalised(self._graph).computes))

    def live(self, row: Computes) -> Computes:
        """Return which units are needed when `row` says who computes."""
        key = row.tobytes()
        if key not in self._live:
            self._live[key] = np.array(self._graph.live(row.tolist()))
        return self._live[key]

    def lives(self, rows: Computes) -> Computes:
        """Return the same of each of several rows; a search asks for the same ones again."""
        key = rows.tobytes()
        if key not in self._lives:
            if len(self._lives) >= MOST_KNOWN:
                self._lives.clear()
            live = [self.live(row) for row in rows]
            self._lives[key] = np.array(live, bool).reshape(rows.shape)
        return self._lives[key]

    def error(self, computes: Computes) -> float:
        """Return the expected squared error of a picture."""
        return float(self._squared(self._total(computes)[None])[0])

    def errors(self, computes: Computes, step: int, rows: Computes) -> NDArray[np.float64]:
        """Return the error with each of `rows`, N × units, in place of the one at `step`.

        What a unit computes at a step changes this step and those that reuse it, no others.
        """
        before = _last(computes[:step])
        stale, fresh = self._later(computes, step, before)
        here = self._at(np.arange(len(before)), np.full(len(before), step), step - before)
        now = computes[step]
        rest = self._total(computes) - self._share(now[None], here, stale, fresh)[0]
        return self._squared(rest + self._share(rows, here, stale, fresh))

    def _share(self, rows: Computes, here: Effects, stale: Effects, fresh: Effects) -> Effects:
        return np.asarray((self.lives(rows) & ~rows) @ here + ~rows @ stale + rows @ fresh)

    def _later(
        self, computes: Computes, step: int, before: NDArray[np.int64]
    ) -> tuple[Effects, Effects]:
        """Return what units do after `step` until they compute again: without and with it."""
        rows = computes[step + 1 :]
        waiting = ~np.logical_or.accumulate(rows, axis=0)
        units, later = np.nonzero((waiting & self.lives(rows)).T)
        begins = np.flatnonzero(np.diff(units, prepend=-1))
        at = later + step + 1
        stale, fresh = np.zeros((2, len(before), self._effects.shape[-1]))
        if len(units):
            for sums, since in ((stale, before[units]), (fresh, step)):
                effects = self._at(units, at, at - since)
                sums[units[begins]] = np.add.reduceat(effects, begins, dtype=np.float64)
        return stale, fresh

    def _at(
        self, units: NDArray[np.int64], steps: NDArray[np.int64], lags: NDArray[np.int64]
    ) -> Effects:
        return np.asarray(self._effects[units, steps, np.minimum(lags, self._longest + 1) - 1])

    def _total(self, computes: Computes) -> Effects:
        """Return the sum of the effects of all reuses."""
        sources = np.maximum.accumulate(np.where(computes, self._steps, 0), axis=0)
        s, u = np.nonzero(self.lives(computes) & ~computes)
        return np.asarray(self._at(u, s, s - sources[s, u]).sum(0, dtype=np.float64))

    def _squared(self, effects: Effects) -> NDArray[np.float64]:
        sums, alone = np.square(effects[:, :-2]).mean(1), effects[:, -2]
        errors = self._together * sums + (1 - self._together) * alone
        return np.where(effects[:, -1] > 0.5, np.inf, errors)


def _last(computes: Computes) -> NDArray[np.int64]:
    """Return the last step at which each unit computes."""
    return np.asarray(len(computes) - 1 - computes[::-1].argmax(0))


def spent_ms(computes: Computes, unit_ms: NDArray[np.float64]) -> float:
    """Return the time of all computed units, of which unit u takes `unit_ms[u]`."""
    return float(computes.sum(0) @ unit_ms)
