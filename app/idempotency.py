"""Idempotency-Key: a request that is repeated is the job it was the first time."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from app.contract.once import Once
from app.errors import FieldError, InvalidRequest

if TYPE_CHECKING:
    from pydantic import BaseModel

NAME = "Idempotency-Key"
KEY = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)


def once(header: str, owner: str, wish: BaseModel) -> Once | None:
    """Return what the queue shall remember of a request, None when its caller sent no key.

    Two callers may use the same key. What a request asks for is its body, however it is written.
    Raises InvalidRequest for a key that is none.
    """
    if not header:
        return None
    key = _unquoted(header)
    if not KEY.fullmatch(key):
        words = "must be 1 to 255 printable ASCII characters, such as a UUID"
        raise InvalidRequest([FieldError(NAME, words)])
    return Once(_hash(f"{owner}\0{key}"), _hash(wish.model_dump_json()))


def _unquoted(header: str) -> str:
    """Return the key itself: the draft writes it in quotes, most clients do not."""
    quoted = len(header) > 1 and header[0] == header[-1] == '"'
    return header[1:-1] if quoted else header


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
