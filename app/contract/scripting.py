"""The queue's scripts as commands to the store."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from app.contract.connection import script_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.contract.keys import Keys


class Scripts:
    """Some of the scripts, with the keys that all of them are given.

    The client's own objects for scripts do the same, and look at every argument on the way.
    """

    def __init__(self, names: Iterable[str], keys: Keys) -> None:
        self._texts = {name: script_text(name) for name in names}
        given = keys.for_scripts()
        self._beginnings = {
            name: ("EVALSHA", _digest(text), len(given), *given)
            for name, text in self._texts.items()
        }

    def command(self, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return what runs a script that the store has; it may have to be loaded first."""
        return self._beginnings[name] + args

    def text(self, name: str) -> str:
        """Return what has to be loaded."""
        return self._texts[name]


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
