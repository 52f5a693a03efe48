"""What is read anew for every scrape: the queue, the workers, the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.contract.errors import StoreUnavailable

if TYPE_CHECKING:
    from app.contract.ports import GatewayQueue
    from app.telemetry import Telemetry


async def measure(queue: GatewayQueue, telemetry: Telemetry) -> None:
    """Bring the gauges up to date, as far as the store answers."""
    try:
        telemetry.queue(await queue.depths(), await queue.dead_letters())
        telemetry.workers(await queue.cards())
        memory = await queue.memory()
    except StoreUnavailable:
        telemetry.store(False)
        return
    telemetry.store(True)
    if memory is not None:
        telemetry.store_memory(memory)
