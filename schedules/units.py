"""The parts of a UNet whose work can be reused, and which of them read which.

Laws of this file:
1. Units stand in execution order; a unit only reads units before it.
2. Layers that are not units (convolutions at both ends, concatenations, embeddings) always run and
   are transparent: a unit "reads" every unit whose output reaches it through such layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from schedules.errors import InvalidGraph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Role(StrEnum):
    """What a unit is in the UNet."""

    TRANSFORMER = "transformer"
    RESNET = "resnet"
    SAMPLER = "sampler"
    ENTRY = "entry"
    OUTPUT = "output"


RESIDUAL_ROLES = frozenset({Role.TRANSFORMER, Role.RESNET})
OUTPUT_ROLES = frozenset(Role) - RESIDUAL_ROLES


@dataclass(frozen=True, slots=True)
class Unit:
    """A reusable part of a UNet.

    A residual unit (transformer, ResBlock) caches its update and always runs its identity path. An
    output unit caches its output as it is: a down- or upsampler, or an *entry*, which does no work
    of its own and holds the main-branch feature that enters an up layer (DeepCache's cut), or the
    UNet's *output*: reused, it spares the whole call.
    """

    name: str
    role: Role

    @property
    def is_residual(self) -> bool:
        """Whether the identity path runs even when the unit is reused."""
        return self.role in RESIDUAL_ROLES


@dataclass(frozen=True, slots=True)
class UnitGraph:
    """Units in execution order and the data flow between them.

    `feeds[u]` are the units whose outputs unit `u` reads; `sinks` those the UNet's output reads.
    Raises InvalidGraph when a unit reads itself or a later one, or when names repeat.
    """

    units: tuple[Unit, ...]
    feeds: tuple[tuple[int, ...], ...]
    sinks: tuple[int, ...]

    def __post_init__(self) -> None:
        if len({unit.name for unit in self.units}) != len(self.units) or not self.units:
            raise InvalidGraph("unit names must be unique, and there must be at least one")
        if len(self.feeds) != len(self.units):
            raise InvalidGraph(f"{len(self.units)} units but {len(self.feeds)} lists of feeds")
        if any(not 0 <= f < u for u, feeds in enumerate(self.feeds) for f in feeds):
            raise InvalidGraph("a unit can only read units before it")
        if any(not 0 <= sink < len(self.units) for sink in self.sinks):
            raise InvalidGraph("a sink is not a unit")

    def __len__(self) -> int:
        return len(self.units)

    def index(self, name: str) -> int:
        """Return the position of the unit called `name`; raises InvalidGraph if there is none."""
        for position, unit in enumerate(self.units):
            if unit.name == name:
                return position
        raise InvalidGraph(f"no unit is called {name!r}")

    def with_role(self, *roles: Role) -> tuple[int, ...]:
        """Return the positions of all units that play one of `roles`."""
        return tuple(u for u, unit in enumerate(self.units) if unit.role in roles)

    def residual_by_halvings(self) -> dict[int, tuple[int, ...]]:
        """Return the positions of the residual units of each resolution.

        A resolution is told by how often the latents were halved on the way there: 0 is the full
        one.
        """
        found: dict[int, list[int]] = {}
        halvings = 0
        for u, unit in enumerate(self.units):
            if unit.role is Role.SAMPLER:
                halvings += -1 if unit.name.startswith("up.") else 1
            elif unit.is_residual:
                found.setdefault(halvings, []).append(u)
        return {depth: tuple(members) for depth, members in sorted(found.items())}

    def live(self, computes: Sequence[bool]) -> tuple[bool, ...]:
        """Return which units are needed when `computes[u]` says who computes at this step.

        Needed means: on a path to the output. A reused output unit needs nothing that feeds it; a
        reused residual unit still needs its input, because its identity path runs.
        """
        needed = [False] * len(self)
        for sink in self.sinks:
            needed[sink] = True
        for u in reversed(range(len(self))):
            if needed[u] and (computes[u] or self.units[u].is_residual):
                for feed in self.feeds[u]:
                    needed[feed] = True
        return tuple(needed)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "units": [[unit.name, unit.role.value] for unit in self.units],
            "feeds": [list(feeds) for feeds in self.feeds],
            "sinks": list(self.sinks),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; raises InvalidGraph naming what is missing."""
        try:
            return cls(
                units=tuple(Unit(name, Role(role)) for name, role in data["units"]),
                feeds=tuple(tuple(feeds) for feeds in data["feeds"]),
                sinks=tuple(data["sinks"]),
            )
        except InvalidGraph:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidGraph(f"a unit graph needs units, feeds and sinks: {error!r}") from error
