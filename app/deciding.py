"""Which offer serves a request, and what is promised for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app import admission, errors
from app.fleet import FleetReader, Offer, choose, narrow
from app.refusals import refusal
from app.settings import MAX_BUDGET_MS
from app.stages import Decision

if TYPE_CHECKING:
    from app.contract.ports import GatewayQueue
    from app.settings import Settings
    from app.stages import PictureRequest
    from app.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Decider:
    """Reads the live fleet and the queue, and lets `admission` decide."""

    queue: GatewayQueue
    settings: Settings
    telemetry: Telemetry
    fleet: FleetReader
    overhead: admission.Overhead

    async def decide(self, request: PictureRequest, *, remember: bool = False) -> Decision:
        """Say how a request would be served now; raises one of Refused.

        With `remember`, whoever others stand in the way of is counted among those who came.
        """
        offer = narrow(await self._offer(request), request.solvers, request.max_steps)
        overhead_ms = self.overhead.p95_ms
        verdict, previews = await self._with_previews(request, offer, overhead_ms)
        if isinstance(verdict, admission.Queued):
            # A longer budget lets more of the queue go first: all of it is the safe answer.
            whole = await self._admit(request, offer, overhead_ms, MAX_BUDGET_MS)
            verdict = whole if isinstance(whole, admission.Queued) else verdict
        if not isinstance(verdict, admission.Admit):
            self.overhead.relax()
            if remember and isinstance(verdict, admission.Queued):
                await self.queue.turn_away(offer.lane, request.num_images, request.budget_ms)
            raise refusal(verdict)
        return Decision(offer, verdict, overhead_ms, previews)

    async def _offer(self, request: PictureRequest) -> Offer:
        fleet = await self.fleet.read()
        ours = self.settings.models
        wanted = request.model or ("" if fleet.offers else next(iter(ours), ""))
        if wanted in ours and not fleet.of_model(wanted):
            self.telemetry.unserved(wanted)
            raise errors.NoWorkers(f"No worker has {wanted} ready; try again in a moment.")
        return choose(fleet, request.model, request.width, request.height)

    async def _with_previews(
        self, request: PictureRequest, offer: Offer, overhead_ms: float
    ) -> tuple[admission.Verdict, int]:
        """Decide with as many previews as a promise has time for: rather fewer than a refusal."""
        preview_ms = max(card.costs.preview_ms for card in offer.cards)
        dear = request.previews if request.full_previews else 0
        for previews in range(dear, 0, -1):
            taken_ms = overhead_ms + previews * preview_ms
            verdict = await self._admit(request, offer, taken_ms, request.budget_ms)
            if isinstance(verdict, admission.Admit) and verdict.minimum_ms <= request.budget_ms:
                return verdict, previews
        verdict = await self._admit(request, offer, overhead_ms, request.budget_ms)
        return verdict, request.previews - dear

    async def _admit(
        self, request: PictureRequest, offer: Offer, overhead_ms: float, horizon_ms: float
    ) -> admission.Verdict:
        backlog = await self.queue.backlog(offer.lane, horizon_ms)
        now_unix_ms = (await self.fleet.read()).now_unix_ms
        own_ms = overhead_ms, self.overhead.stray_ms
        tariffs = self.fleet.tariffs
        load = admission.Load(offer.cards, backlog, now_unix_ms, *own_ms, tariffs)
        ask = admission.Ask(request.budget_ms, request.num_images, request.min_quality)
        return admission.admit(ask, offer.book, load)
