"""A worker's card: what it can make and how fast, published with every heartbeat."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from app.contract.errors import DecodeError
from app.contract.lanes import Lane
from schedules.cost import CostModel
from schedules.errors import ScheduleError

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCard:
    """What one live worker can make, how fast, and until when it is busy.

    `book` is the digest of its plan book, stored once for all workers that share it. A card that
    is not renewed within its TTL means the worker is gone. `ready` is False until a warm-up
    picture has been made.

    Where `due_unix_ms` is not 0, who has to be done before it can come before the rest of what
    makes the worker busy, from `yields_from_unix_ms` on.
    """

    worker: str
    model: str
    revision: str
    width: int
    height: int
    device: str
    dtype: str
    book: str
    costs: CostModel
    max_batch: int
    busy_until_unix_ms: int = 0
    yields_from_unix_ms: int = 0
    due_unix_ms: int = 0
    ready: bool = False

    @property
    def lane(self) -> Lane:
        """Whose jobs it makes."""
        return Lane(self.model, self.width, self.height)

    def copy(self, **changes: Any) -> Self:
        """Return the same card with some fields changed."""
        return replace(self, **changes)

    def encode(self) -> str:
        """Return the card as JSON text."""
        data = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({"version": VERSION, **data, "costs": self.costs.to_dict()})

    @classmethod
    def decode(cls, payload: bytes | str) -> Self:
        """Read what `encode` wrote; raises DecodeError carrying the payload.

        What a newer worker says beyond this is left out.
        """
        try:
            data = json.loads(payload)
            if data.get("version") != VERSION:
                raise DecodeError(f"not a version {VERSION} card", payload)
            known = {field.name: data[field.name] for field in fields(cls) if field.name in data}
            return cls(**{**known, "costs": CostModel.from_dict(data["costs"])})
        except (ValueError, KeyError, TypeError, AttributeError, ScheduleError) as error:
            raise DecodeError(f"not a worker card: {error!r}", payload) from error
