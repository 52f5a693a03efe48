"""How messages between gateway and worker are written: one JSON object each, with a version.

A member that this version does not know is an error: what it asks for would not be done.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from functools import cache
from typing import Any, TypeVar, get_type_hints

import msgspec

from app.contract.errors import DecodeError

VERSION = 1
M = TypeVar("M")

_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder().decode


def write(message: Any) -> str:
    """Return a message as JSON text."""
    members = {name: getattr(message, name) for name in message.__slots__}
    return _write({"version": VERSION, **members}).decode()


def read(kind: type[M], payload: bytes | str) -> M:
    """Read a message of that kind; raises DecodeError carrying the payload."""
    try:
        data = _read(payload)
    except ValueError as error:
        raise DecodeError("not JSON", payload) from error
    if not isinstance(data, dict) or data.pop("version", None) != VERSION:
        raise DecodeError(f"not a version {VERSION} message", payload)
    try:
        message = msgspec.convert(data, kind)
        _know(data, kind)
    except ValueError as error:
        raise DecodeError(f"not a {kind.__name__.lower()}: {error}", payload) from error
    return message


def _know(data: dict[str, Any], kind: type) -> None:
    names, parts = _members(kind)
    if not data.keys() <= names:
        raise ValueError(f"unknown members {sorted(data.keys() - names)}")
    for name, part in parts:
        if name in data:
            _know(data[name], part)


@cache
def _members(kind: type) -> tuple[frozenset[str], tuple[tuple[str, type], ...]]:
    """Return the names of all members, and the kinds of those that are messages themselves."""
    hints = get_type_hints(kind)
    return frozenset(hints), tuple((name, of) for name, of in hints.items() if is_dataclass(of))
