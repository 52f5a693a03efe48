"""Lanes: jobs for one model at one size wait apart from all others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

NAME = re.compile(r"(\d+)x(\d+):(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Lane:
    """One model at one size: every worker of a lane can make every job that waits in it."""

    model: str
    width: int
    height: int

    @property
    def size(self) -> str:
        """The size as text, like 512x768."""
        return f"{self.width}x{self.height}"

    @property
    def name(self) -> str:
        """What the store calls it; `named` reads it."""
        return f"{self.size}:{self.model}"

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the lane of that name; raises ValueError when it is no lane's."""
        found = NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"not the name of a lane: {name}")
        width, height, model = found.groups()
        return cls(model, int(width), int(height))
