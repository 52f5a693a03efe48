"""A job as it goes: its previews one by one, and its end."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from app.contract.jobs import Failure, Result
from app.errors import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from app.service import Service
    from app.stages import Accepted, Made


async def follow(service: Service, accepted: Accepted) -> AsyncGenerator[bytes | Made]:
    """Yield each preview of an accepted job when it is there, last of all the finished job.

    Closing or cancelling the iterator before its end cancels the job. Raises one of Refused, or a
    ContractError.
    """
    seen, over = 0, False
    try:
        while not over:
            look = partial(service.queue.follow, accepted.job.id, seen)
            news = await service.patiently(accepted, look)
            if isinstance(news, Result | Failure):
                over = True
                yield await service.conclude(accepted, news)
                return
            for preview in news:
                seen += 1
                yield preview
    except Refused:
        over = True
        raise
    finally:
        if not over:
            service.leave(accepted)
