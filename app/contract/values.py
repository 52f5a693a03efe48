"""Values of which every request makes several: dataclasses take ten times as long to be made."""

from __future__ import annotations

from typing import Any, Self

import msgspec


class Value(msgspec.Struct, frozen=True):
    """Is changed only by copy."""

    def copy(self, **changes: Any) -> Self:
        """Return the same with some members changed."""
        return msgspec.structs.replace(self, **changes)
