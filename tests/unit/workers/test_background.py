"""Threads that keep something up, for contexts that last."""

from __future__ import annotations

import threading

from tests.integration.gateways import wait_until
from workers.background import Keepers


class Keeper:
    """Notes that it is kept, and ends when it is released."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended = threading.Event()
        self._released = threading.Event()

    def keep(self) -> None:
        self.begun.set()
        self._released.wait()
        self.ended.set()

    def release(self) -> None:
        self._released.set()


def test_what_is_over_at_once_gets_no_thread() -> None:
    keepers, brief, lasting = Keepers(), Keeper(), Keeper()
    with keepers.kept(brief, "brief"):
        pass
    with keepers.kept(lasting, "lasting"):
        assert lasting.begun.wait(10)

    assert not brief.begun.is_set()
    keepers.close()


def test_what_lasts_is_kept_up_to_its_end() -> None:
    keepers, outer, inner = Keepers(), Keeper(), Keeper()
    with keepers.kept(outer, "outer"), keepers.kept(inner, "inner"):
        assert outer.begun.wait(10)
        assert inner.begun.wait(10)
        assert not inner.ended.is_set()

    assert outer.ended.is_set()
    assert inner.ended.is_set()
    keepers.close()


def test_no_thread_is_left_when_all_is_closed() -> None:
    keepers, keeper = Keepers(), Keeper()
    with keepers.kept(keeper, "last"):
        pass
    keepers.close()

    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "keepers"])
