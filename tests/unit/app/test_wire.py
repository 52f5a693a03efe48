"""What is written in one turn of the event loop leaves at once."""

from __future__ import annotations

import asyncio

import pytest

from app.wire import MOST_HELD_BYTES, Gathering


class Wire(asyncio.Transport):
    """Remembers what was sent, write by write."""

    def __init__(self) -> None:
        super().__init__({"peername": ("::1", 1)})
        self.sent: list[bytes] = []
        self.closed = False

    def writelines(self, list_of_data: object) -> None:
        self.sent.append(b"".join(list_of_data))  # type: ignore[arg-type]

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def wire() -> Wire:
    return Wire()


async def test_head_and_body_are_one_write_of_each_turn(wire: Wire) -> None:
    gathering = Gathering(wire)
    for answer in (b"1", b"2"):
        gathering.write(b"head" + answer)
        gathering.write(b"body" + answer)
        await asyncio.sleep(0)
    assert wire.sent == [b"head1body1", b"head2body2"]


async def test_what_is_held_is_sent_before_the_end(wire: Wire) -> None:
    gathering = Gathering(wire)
    gathering.write(b"the end")
    gathering.close()
    await asyncio.sleep(0)
    assert (wire.sent, wire.closed) == ([b"the end"], True)


async def test_much_is_not_held_back(wire: Wire) -> None:
    Gathering(wire).write(bytes(MOST_HELD_BYTES + 1))
    assert len(wire.sent) == 1


async def test_to_a_caller_that_left_nothing_is_sent(wire: Wire) -> None:
    Gathering(wire).write(b"late")
    wire.close()
    await asyncio.sleep(0)
    assert not wire.sent


async def test_all_else_is_asked_of_the_transport_itself(wire: Wire) -> None:
    assert Gathering(wire).get_extra_info("peername") == ("::1", 1)
