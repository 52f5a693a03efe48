from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from app.presence import Presence

LONG_S = 30.0


async def left_alone() -> None:
    """Wait for long in a block whose caller leaves at once."""
    async with asyncio.timeout(LONG_S) as block:
        presence = Presence(partial(asyncio.sleep, 0), block)
        try:
            await asyncio.sleep(LONG_S)
        finally:
            presence.close()


async def test_a_caller_that_leaves_ends_the_block() -> None:
    with pytest.raises(TimeoutError):
        await left_alone()


async def test_leaving_in_the_moment_the_block_ends_is_no_error() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    watched, left = asyncio.Event(), asyncio.Event()

    async def gone() -> None:
        watched.set()
        await left.wait()

    async with asyncio.timeout(LONG_S) as block:
        presence = Presence(gone, block)
        await watched.wait()
        left.set()
        await asyncio.sleep(0)  # the watching task ends; what it calls is yet to run
    presence.close()
    await asyncio.sleep(0)

    assert told == []
