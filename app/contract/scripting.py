"""The queue's scripts as commands to the store."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.contract.keys import Keys

PRELUDE = "prelude"
PART = re.compile(r"\n\n+(?=\S)")
COMMENT = re.compile(r"--.*")
NAME = re.compile(r"[A-Za-z_]\w*")
DEFINED = re.compile(r"^local (?:function )?(\w+)", re.MULTILINE)


def script_text(name: str) -> str:
    """Return a queue script after those parts of the prelude that it needs.

    The store makes the functions in a script anew whenever it runs, used or not.
    """
    script = _read(name)
    head, *parts = PART.split(_read(PRELUDE))
    needed, used = [script], _names(script)
    for part in reversed(parts):  # a part uses only what stands before it
        if used.intersection(DEFINED.findall(part)):
            needed.append(part)
            used |= _names(part)
    return "\n".join((head, *reversed(needed)))


def _read(name: str) -> str:
    return (files("app.contract") / "scripts" / f"{name}.lua").read_text("utf-8")


def _names(text: str) -> set[str]:
    return set(NAME.findall(COMMENT.sub("", text)))


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
