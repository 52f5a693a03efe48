"""Tells webhooks that jobs have ended: signed as Standard Webhooks, at least once, patiently."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
from standardwebhooks import Webhook
from starlette.responses import JSONResponse

from app import answers
from app.contract.errors import ContractError, StoreUnavailable
from app.errors import AddressRefused
from app.webhook_addresses import Target, resolve

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from app.contract.ports import GatewayQueue, JobStatus
    from app.contract.webhook_queue import Delivery
    from app.telemetry import Telemetry

LOG = logging.getLogger("blockcache.webhooks")
# Before each further try. The queue forgets a job that has waited for 12 hours.
RETRIES_S = (2.0, 10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0)
AT_ONCE = 16
DELIVERY_S = 10.0
LEASE_S = 15.0  # outlasts a delivery
LOOK_EVERY_S = 0.5
GONE = 410  # the receiver wants no more


class Sender:
    """Signs and sends one message to the address that was checked; follows no redirect.

    The receiver's certificate has to be for the name in its URL; `tls` says whom it may be by.
    """

    def __init__(
        self, secret: str, networks: Sequence[str], tls: ssl.SSLContext | None = None
    ) -> None:
        self._webhook = Webhook(secret)
        self._networks = networks
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.AsyncClient(
            timeout=DELIVERY_S, trust_env=False, limits=limits, verify=tls or True
        )

    async def send(self, url: str, message_id: str, body: str) -> int:
        """Return the status of the answer, whose body is not read.

        Raises AddressRefused, OSError, TimeoutError or httpx.HTTPError.
        """
        async with asyncio.timeout(DELIVERY_S):
            target = await resolve(url, self._networks)
            headers = self._headers(target, message_id, body)
            *others, last = target.urls
            for other in others:
                with suppress(httpx.ConnectError):
                    return await self._post(other, target.host, headers, body)
            return await self._post(last, target.host, headers, body)

    async def _post(self, url: str, host: str, headers: dict[str, str], body: str) -> int:
        extensions = {"sni_hostname": host}
        sending = self._http.stream(
            "POST", url, content=body, headers=headers, extensions=extensions
        )
        async with sending as answer:
            return answer.status_code

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _headers(self, target: Target, message_id: str, body: str) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "Host": target.host_header,
            "Content-Type": "application/json",
            "User-Agent": "blockcache",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(message_id, now, body),
        }


class Webhooks:
    """Delivers what is due, beside all other gateways, until it is closed."""

    def __init__(
        self,
        queue: GatewayQueue,
        sender: Sender,
        telemetry: Telemetry,
        retries_s: Sequence[float] = RETRIES_S,
    ) -> None:
        self._queue = queue
        self._sender = sender
        self._telemetry = telemetry
        self._retries_s = retries_s
        self._under_way: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._run())

    async def aclose(self) -> None:
        """Stop; what is under way is tried again by another gateway."""
        tasks = [*self._under_way, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sender.aclose()

    async def _run(self) -> None:
        while True:
            try:
                await self._begin_what_is_due()
            except StoreUnavailable as error:
                LOG.warning("webhooks are late: %s", error)
            except Exception:  # the task must go on: nobody would be told any more
                LOG.exception("webhooks are late")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _begin_what_is_due(self) -> None:
        room = AT_ONCE - len(self._under_way)
        for delivery in await self._queue.webhooks.due(room, LEASE_S) if room else ():
            task = asyncio.create_task(self._deliver(delivery))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            status = await self._queue.status(delivery.job_id)
            if status is None or status.outcome is None:
                await self._queue.webhooks.settle(delivery)
                return
            outcome, why = await self._tried(delivery, status)
            await self._settle(delivery, outcome, why)
        except ContractError as error:
            # Not settled: it is due again when the lease is over.
            LOG.warning("job %s: a delivery is late: %s", delivery.job_id, error)
        except Exception:
            LOG.exception("job %s: a delivery failed", delivery.job_id)

    async def _tried(self, delivery: Delivery, status: JobStatus) -> tuple[str, str]:
        """Deliver once; return "delivered", "retried" or "given_up", and why."""
        body = bytes(JSONResponse(answers.job(status).model_dump(mode="json")).body).decode()
        message_id = f"{status.id}.{status.state}"
        try:
            code = await self._sender.send(delivery.url, message_id, body)
        except AddressRefused as error:
            return "given_up", f"its URL {error}"
        except (OSError, TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            return "retried", type(error).__name__
        if 200 <= code < 300:
            return "delivered", ""
        return ("given_up" if code == GONE else "retried"), f"it answered {code}"

    async def _settle(self, delivery: Delivery, outcome: str, why: str) -> None:
        tries_left = delivery.tries <= len(self._retries_s)
        again = outcome == "retried" and tries_left
        retry_s = self._retries_s[delivery.tries - 1] if again else None
        settled = await self._queue.webhooks.settle(delivery, retry_s)
        final = outcome if outcome == "delivered" or again else "given_up"
        if settled:
            self._telemetry.webhook(final)
        if final != "delivered":
            # The URL is left out: it may hold a secret of its receiver.
            LOG.warning("job %s: its webhook was %s: %s", delivery.job_id, final, why)
