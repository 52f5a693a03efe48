"""How messages between gateway and worker are written: one JSON object each, with a version.

A member that this version does not know is an error: what it asks for would not be done.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Self

import msgspec

from app.contract.errors import DecodeError
from app.contract.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = 1

_write = msgspec.json.Encoder().encode


class Part(Value, frozen=True, forbid_unknown_fields=True):
    """A value within a message."""


class Message(Part, frozen=True, tag_field="version", tag=VERSION):
    """A value that travels by itself."""

    def encode(self) -> str:
        """Return it as JSON text."""
        return _write(self).decode()

    def members(self) -> dict[str, Any]:
        """Return it as plain data, without the version."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        del told["version"]
        return told

    @classmethod
    def decode(cls, payload: bytes | str) -> Self:
        """Read what `encode` wrote; raises DecodeError carrying the payload."""
        try:
            message: Self = _reader(cls)(payload)
        except ValueError as error:
            what = f"not a {cls.__name__.lower()} of version {VERSION}"
            raise DecodeError(f"{what}: {error}", payload) from error
        return message


@cache
def _reader(kind: type[Message]) -> Callable[[bytes | str], Any]:
    return msgspec.json.Decoder(kind).decode
