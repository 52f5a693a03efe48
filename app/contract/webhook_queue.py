"""Ends of jobs that webhooks shall be told, as gateways share them. Belongs to one event loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.contract.connection import store_errors
from app.contract.keys import Keys
from app.contract.scripting import script_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis.asyncio

    from app.contract.settings import QueueSettings

SCRIPTS = ("hooks_due", "hook_settle")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try to tell a webhook that a job has ended. `tries` counts from 1 and includes it."""

    job_id: str
    url: str
    token: int
    tries: int


class WebhookQueue:
    """Hands each end out to one gateway at a time, until it is settled. At least once.

    Every method raises StoreUnavailable when the store is down.
    """

    def __init__(self, client: redis.asyncio.Redis, settings: QueueSettings) -> None:
        self._keys = Keys(settings.prefix)
        self._result_ttl_ms = settings.result_ttl_s * 1000
        self._scripts = {name: client.register_script(script_text(name)) for name in SCRIPTS}

    async def due(self, limit: int, lease_s: float) -> Sequence[Delivery]:
        """Take up to `limit` that are due; one not settled in `lease_s` is due again."""
        rows = await self._run("hooks_due", limit, round(lease_s * 1000))
        return [
            Delivery(job_id.decode(), url.decode(), token, tries)
            for job_id, url, token, tries in rows
        ]

    async def settle(self, delivery: Delivery, retry_s: float | None = None) -> bool:
        """Try again in `retry_s`, never again without; False when another gateway took it since."""
        next_ms = 0 if retry_s is None else max(1, round(retry_s * 1000))
        parts = (delivery.job_id, delivery.token, next_ms, self._result_ttl_ms)
        return bool(await self._run("hook_settle", *parts))

    async def _run(self, script: str, *args: Any) -> Any:
        with store_errors():
            return await self._scripts[script](keys=self._keys.for_scripts(), args=args)
