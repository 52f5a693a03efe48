"""Work that goes on in a thread of its own for the length of a context."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    Kept = Callable[["Keeper", str], AbstractContextManager[None]]

# A thread takes longer to start and to end than the briefest batches do.
AFTER_S = 0.01


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
    thread = _started(keeper, name)
    try:
        yield
    finally:
        keeper.release()
        thread.join()


@dataclass(slots=True, eq=False)
class _Pending:
    keeper: Keeper
    name: str
    due_s: float
    thread: threading.Thread | None = None


class Keepers:
    """Does what `kept` does for contexts that last; those that are over at once get no thread.

    A thread of its own starts the keepers, 10 to 20 milliseconds after their contexts began. It
    sleeps while there is nobody to keep.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: list[_Pending] = []
        self._some = threading.Event()
        self._over = threading.Event()
        self._starter = threading.Thread(target=self._start_all, name="keepers", daemon=True)

    @contextmanager
    def kept(self, keeper: Keeper, name: str) -> Iterator[None]:
        """Let a keeper run inside this context if that lasts; it has ended afterwards."""
        mine = _Pending(keeper, name, time.monotonic() + AFTER_S)
        self._await(mine)
        try:
            yield
        finally:
            with self._lock:
                if mine in self._pending:
                    self._pending.remove(mine)
            keeper.release()
            if mine.thread is not None:
                mine.thread.join()

    def close(self) -> None:
        """Start no more keepers."""
        self._over.set()
        self._some.set()

    def _await(self, one: _Pending) -> None:
        with self._lock:
            if self._starter.ident is None:
                self._starter.start()
            self._pending.append(one)
            self._some.set()

    def _start_all(self) -> None:
        while not self._over.is_set():
            self._some.wait()
            self._over.wait(AFTER_S)
            self._start_due()

    def _start_due(self) -> None:
        with self._lock:
            for one in [one for one in self._pending if one.due_s <= time.monotonic()]:
                one.thread = _started(one.keeper, one.name)
                self._pending.remove(one)
            if not self._pending and not self._over.is_set():
                self._some.clear()


def _started(keeper: Keeper, name: str) -> threading.Thread:
    thread = threading.Thread(target=keeper.keep, name=name, daemon=True)
    thread.start()
    return thread
