"""The worker's side of the queue on Redis or Valkey. Blocking, and safe to share by threads."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Self

from redis.exceptions import NoScriptError

from app.contract import replies
from app.contract.connection import connect, store_errors, unix_ms
from app.contract.direct import Direct
from app.contract.errors import DecodeError
from app.contract.jobs import Job, JobState, Reason
from app.contract.keys import Keys
from app.contract.ports import Claimed
from app.contract.scripting import Scripts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis

    from app.contract.cards import WorkerCard
    from app.contract.jobs import Failure, Result
    from app.contract.lanes import Lane
    from app.contract.ports import Choose, Made
    from app.contract.settings import QueueSettings
    from schedules.book import PlanBook

SCRIPTS = (
    "line", "urgent", "claim", "renew", "finish", "fail", "give_back", "preview", "publish",
)  # fmt: skip
ENDS_IN = {
    Reason.CANCELLED: JobState.CANCELLED,
    Reason.DEADLINE: JobState.FAILED,
    Reason.ERROR: JobState.FAILED,
    Reason.DEAD: JobState.DEAD,
}
# A bell can be lost with the worker that heard it, so nobody listens longer than this.
LONGEST_LISTEN_S = 2.0
# Who stands further back in line changes little for who is next.
LINE_ROWS = 64
SHORTEST_LISTEN_S = 0.01
# For so long the store's clock need not be read again: clocks of machines keep pace meanwhile.
CLOCK_KEPT_S = 5.0


class RedisWorkerQueue:
    """Keeps the promises of `WorkerQueue`. Build it with `connect`, close it when done."""

    def __init__(self, client: redis.Redis, settings: QueueSettings) -> None:
        self._client = client
        self._execute = Direct(client).execute
        self._settings = settings
        self._keys = Keys(settings.prefix)
        self._clock = (0, float("-inf"))  # a reading of the store's, and when it was taken here
        self._scripts = Scripts(SCRIPTS, self._keys)

    @classmethod
    def connect(cls, url: str, settings: QueueSettings) -> Self:
        """Return a queue on the store at `url`; the connection is made at first use."""
        return cls(connect(url), settings)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def claim(self, lane: Lane, worker: str, choose: Choose, wait_s: float) -> list[Claimed]:
        """Lease what `choose` names of those who wait in a lane, for up to `wait_s`."""
        until = time.monotonic() + wait_s
        while True:
            claims, quiet_s = self._try_claim(lane, worker, choose)
            left_s = until - time.monotonic()
            if claims or left_s <= 0:
                return claims
            self._listen(lane, min(left_s, quiet_s, LONGEST_LISTEN_S))

    def urgent_ms(self, lane: Lane) -> float | None:
        """Return how long the most urgent of those who wait has left, None when nobody waits."""
        left_ms = self._run("urgent", lane.name)
        return None if left_ms < 0 else float(left_ms)

    def renew(self, claims: Sequence[Claimed]) -> frozenset[str]:
        """Extend the leases; return the ids still held and not cancelled."""
        return self._extend(claims, "")

    def report(self, claims: Sequence[Claimed], step: int) -> frozenset[str]:
        """Record `step` finished steps, extend the leases; return the ids still wanted."""
        return self._extend(claims, step)

    def finish(self, claim: Claimed, result: Result, images: Sequence[bytes]) -> bool:
        """Store the result and pictures; False when the lease was lost and nothing was stored."""
        return self.finish_all([(claim, result, images)])[0]

    def finish_all(self, made: Sequence[Made]) -> list[bool]:
        """Do for each job of a batch what `finish` does, all at once."""
        ttl_ms = self._settings.result_ttl_s * 1000
        parts = [
            part
            for claim, result, images in made
            for part in (claim.job.id, claim.token, result.encode(), len(images), *images)
        ]
        return [bool(done) for done in self._run("finish", ttl_ms, *parts)]

    def preview(self, claim: Claimed, number: int, picture: bytes) -> bool:
        """Show preview `number` (from 0) of the first picture; False when the lease was lost."""
        ttl_ms = self._settings.result_ttl_s * 1000
        return bool(self._run("preview", claim.job.id, claim.token, number, picture, ttl_ms))

    def fail(self, claim: Claimed, failure: Failure, *, retry: bool) -> bool:
        """Give the job another attempt (`retry`) or end it with `failure`; False if lease lost."""
        state = ENDS_IN[failure.reason]
        how = "retry" if retry else "bury" if state is JobState.DEAD else "end"
        parts = (how, state, failure.encode(), failure.detail, *self._limits())
        return bool(self._run("fail", claim.job.id, claim.token, *parts))

    def give_back(self, claim: Claimed) -> bool:
        """Return an unfinished job to the queue without counting the attempt."""
        ttl_ms = self._settings.result_ttl_s * 1000
        return bool(self._run("give_back", claim.job.id, claim.token, ttl_ms))

    def publish(self, card: WorkerCard, book: PlanBook) -> None:
        """Announce this worker for one TTL, after its plan book if that is not stored yet."""
        card_ttl_ms = self._settings.card_ttl_s * 1000
        book_ttl_ms = self._settings.book_ttl_s * 1000
        parts = (card.worker, card.encode(), card_ttl_ms, card.book, book_ttl_ms, card.lane.name)
        if not self._run("publish", *parts):
            payload = json.dumps(book.to_dict())
            with store_errors():
                self._client.set(self._keys.book(card.book), payload, px=book_ttl_ms)
            self._run("publish", *parts)

    def retire(self, worker: str) -> None:
        """Withdraw the card."""
        with store_errors(), self._client.pipeline() as pipeline:
            pipeline.delete(self._keys.card(worker))
            pipeline.zrem(self._keys.workers, worker)
            pipeline.execute()

    def now_unix_ms(self) -> int:
        """Return the store's clock, the only clock deadlines are measured by."""
        read_unix_ms, read_s = self._clock
        passed_s = time.monotonic() - read_s
        if passed_s < CLOCK_KEPT_S:
            return read_unix_ms + int(passed_s * 1000)
        with store_errors():
            moment: Any = self._client.time()
        return unix_ms(moment)

    def _try_claim(self, lane: Lane, worker: str, choose: Choose) -> tuple[list[Claimed], float]:
        """Return what could be claimed, and for how many seconds no lease can expire."""
        lease_ms = self._settings.lease_ms
        now, quiet_ms, workers, arrivals, *found = self._run(
            "line", lane.name, lease_ms, *self._limits(), LINE_ROWS
        )
        self._clock = (now, time.monotonic())
        if not found:
            return [], quiet_ms / 1000
        line = replies.line(now, found, arrivals, max(workers, 1))
        rows = self._run("claim", lane.name, worker, lease_ms, *choose(line))
        claims = (self._claimed(*row) for row in rows)
        return [claim for claim in claims if claim is not None], 0.0

    def _claimed(
        self, job_id: bytes, payload: bytes, token: int, left: int, waited: int, attempt: int
    ) -> Claimed | None:
        try:
            return Claimed(Job.decode(payload), token, left, waited, attempt)
        except DecodeError as error:
            detail = f"this worker cannot read the job: {error}"
            self._run("fail", job_id, token, "bury", JobState.DEAD, "", detail, *self._limits())
            return None

    def _listen(self, lane: Lane, seconds: float) -> None:
        # Gateways of a version that knew no lanes ring for the model.
        bells = [self._keys.bell(lane.name), self._keys.bell(lane.model)]
        with store_errors():
            self._execute("BLPOP", *bells, max(seconds, SHORTEST_LISTEN_S))

    def _extend(self, claims: Sequence[Claimed], step: int | str) -> frozenset[str]:
        if not claims:
            return frozenset()
        pairs = (part for claim in claims for part in (claim.job.id, claim.token))
        wanted = self._run("renew", self._settings.lease_ms, step, *pairs)
        return frozenset(job_id.decode() for job_id in wanted)

    def _limits(self) -> tuple[int, int, int]:
        settings = self._settings
        return settings.max_attempts, settings.result_ttl_s * 1000, settings.dead_ttl_s * 1000

    def _run(self, script: str, *args: Any) -> Any:
        command = self._scripts.command(script, args)
        with store_errors():
            try:
                return self._execute(*command)
            except NoScriptError:
                self._client.script_load(self._scripts.text(script))
                return self._execute(*command)
