"""Work that goes on in a thread of its own for the length of a context."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Keeper(Protocol):
    """Keeps something up until it is released."""

    def keep(self) -> None:
        """Go on until `release`."""
        ...

    def release(self) -> None:
        """End soon."""
        ...


@contextmanager
def kept(keeper: Keeper, name: str) -> Iterator[None]:
    """Let a keeper run in a thread of that name inside this context; it has ended afterwards."""
    thread = threading.Thread(target=keeper.keep, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        keeper.release()
        thread.join()
