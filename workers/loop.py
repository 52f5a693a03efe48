"""The worker loop: claim, run, finish, until told to stop."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING

from app.contract.errors import StoreUnavailable
from app.contract.jobs import Failure, Reason
from schedules.cost import Drift
from schedules.errors import ScheduleError
from schedules.planner import price
from schedules.sharing import Ladder
from workers.batch import Desk, Ran, results, run_batch, settle_plan
from workers.dispatch import Dispatch
from workers.errors import Stopped, UnknownSolver
from workers.halving import Halving
from workers.job_traces import JobTraces, traces_of
from workers.lease import leased
from workers.speed import Idleness, Speed
from workers.warming import probe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.contract.cards import WorkerCard
    from app.contract.ports import Claimed, Made, WorkerQueue
    from workers.previews import Show
    from workers.speed import Took
    from workers.telemetry import WorkerMetrics

log = logging.getLogger(__name__)
STALL_FACTOR = 5
# A job that comes during a capture waits for its end: few at once, and after a batch, when the next
# may be there already, only of what comes again and again.
CAPTURES = 1
WANTED = 2
# A gateway's picture of the workers is older than this: a run so short would be over before anybody
# could know of it.
BRIEF_MS = 20.0


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How patient a worker is, in seconds; `upgrade`: whether it may do better than promised.

    One that idles for `probe_s` makes a picture for itself, to know how fast it is by now; as long
    as it goes on idling every pause before the next is twice as long, up to `probe_most_s`.
    """

    claim_wait_s: float = 1.0
    heartbeat_s: float = 1.0
    drain_s: float = 30.0
    stall_s: float = 60.0
    store_retry_s: float = 0.5
    upgrade: bool = True
    probe_s: float = 1.0
    probe_most_s: float = 300.0


class WorkerLoop:
    """One worker: claims batches of its lane and makes them, one batch at a time."""

    def __init__(
        self,
        queue: WorkerQueue,
        desk: Desk,
        card: WorkerCard,
        metrics: WorkerMetrics,
        settings: LoopSettings,
        warm_up: Sequence[Took] = (),
        traces: JobTraces | None = None,
    ) -> None:
        self._queue = queue
        self._card = card
        self._halving = Halving(card.max_batch, desk.graphs.give_way)
        self._metrics = metrics
        self._traces = traces or JobTraces()
        self._settings = settings
        self._speed = Speed(desk.costs, warm_up)
        self._desk = replace(desk, costs=self._speed.costs)
        steady = self._speed.costs.drifted(Drift(1.0, 1.0))
        self._ladder = Ladder.of(desk.book, steady, card.max_batch)
        self._idleness = Idleness(settings.probe_s, settings.probe_most_s)
        self._stopping = threading.Event()
        self._news = threading.Event()
        self._publishing = threading.Lock()
        self._busy_until_s = 0.0
        self._stop_s = float("inf")

    def stop(self) -> None:
        """Claim nothing more; finish the running batch within `drain_s` or give it back."""
        self._stop_s = time.monotonic() + self._settings.drain_s
        self._stopping.set()
        self._news.set()

    def _must_stop(self) -> bool:
        return time.monotonic() >= self._stop_s

    def run(self) -> None:
        """Serve until `stop`; the card is renewed by a thread of its own."""
        beat = threading.Thread(target=self._heartbeat, name="heartbeat", daemon=True)
        beat.start()
        while not self._stopping.is_set():
            self._serve_once()
        beat.join()

    def _serve_once(self) -> None:
        try:
            ladder = self._ladder.drifted(self._desk.costs, self._halving.max_batch)
            choose, wait_s = Dispatch(ladder, self._settings.upgrade), self._settings.claim_wait_s
            claims = self._queue.claim(self._card.lane, self._card.worker, choose, wait_s)
            self._desk = replace(self._desk, aim=choose.aim)
            if claims and self._stopping.is_set():
                self._give_back(claims)
            elif claims:
                self._run(claims)
                self._idleness.worked()
                self._capture(WANTED)
            elif self._desk.graphs.wanted:
                self._capture()
            elif self._idleness.is_long:
                self._attempt(self._probe, "make a picture to know how fast it is")
                self._idleness.probed()
        except StoreUnavailable as error:
            log.warning("waiting for the store: %s", error)
            self._stopping.wait(self._settings.store_retry_s)

    def _run(self, claims: Sequence[Claimed]) -> None:
        claimed_s = time.monotonic()
        try:
            settled = settle_plan(self._desk, claims)
            self._announce(busy_ms=settled.predicted_ms)
            with (
                leased(self._queue, claims, self._stall_s(settled.predicted_ms)) as lease,
                ThreadPoolExecutor(1, "previews") as sending,
            ):
                show = self._shown_by(sending)

                def run(part: Sequence[Claimed]) -> Ran:
                    known = settled if part is claims else None
                    stop = self._must_stop
                    return run_batch(self._desk, part, lease, claimed_s, stop, show, known)

                last, ran = self._halving(run, claims, partial(self._finish, claimed_s=claimed_s))
                # Before the answers are out: whoever gets one may ask again at once.
                self._learn(ran)
                self._announce_free()
            self._finish(last, ran, claimed_s)
        except Stopped:
            self._trace(self._give_back(claims), claimed_s)
        except (ScheduleError, UnknownSolver) as error:
            failed = self._fail(claims, f"the plan cannot be run: {error}", retry=False)
            self._trace(failed, claimed_s, error)
        except StoreUnavailable:
            raise
        except Exception as error:
            log.exception("a batch of %d failed%s", len(claims), traces_of(claims))
            failed = self._fail(claims, f"the worker failed: {type(error).__name__}", retry=True)
            self._trace(failed, claimed_s, error)
        finally:
            if self._busy_until_s:  # it ended without having been announced free
                self._announce(busy_ms=0.0)

    def _probe(self) -> None:
        """Find out how fast this machine is by now; whoever asks meanwhile counts on the wait."""
        costs = self._desk.costs
        self._announce(busy_ms=price(self._desk.book.frontier(costs)[0], costs).predicted_ms)
        self._speed.probed(probe(self._desk))
        self._desk = replace(self._desk, costs=self._speed.costs)
        self._announce_free()

    def _capture(self, least: int = 1) -> None:
        graphs = self._desk.graphs
        self._attempt(lambda: graphs.capture(CAPTURES, least), "record a step as a CUDA graph")

    def _shown_by(self, sending: ThreadPoolExecutor) -> Show:
        """Return what sends previews from another thread: a slow store slows no step down."""

        def send(claim: Claimed, number: int, picture: bytes) -> None:
            self._attempt(lambda: self._queue.preview(claim, number, picture), "send a preview")

        def show(claim: Claimed, number: int, picture: bytes) -> None:
            sending.submit(send, claim, number, picture)

        return show

    def _stall_s(self, expected_ms: float) -> float:
        """Return how long a batch may go without finishing a step: many times what one takes."""
        return max(self._settings.stall_s, STALL_FACTOR * expected_ms / 1e3)

    def _finish(self, claims: Sequence[Claimed], ran: Ran, claimed_s: float) -> None:
        def since_claim_ms() -> float:
            return (time.monotonic() - claimed_s) * 1e3

        made = results(self._desk, claims, ran, since_claim_ms)
        stored = self._persist(made)
        for _ in range(stored.count(False)):
            self._metrics.lease_lost()
        self._metrics.ran(ran)
        done = [(claim, result) for claim, result, _ in compress(made, stored)]
        self._attempt(lambda: self._traces.finished(done, ran.rendered, claimed_s), "trace jobs")

    def _persist(self, made: Sequence[Made]) -> list[bool]:
        """Store finished results, through short outages of the store too."""
        until_s = time.monotonic() + self._settings.stall_s
        while True:
            try:
                return self._queue.finish_all(made)
            except StoreUnavailable:
                if time.monotonic() > until_s:
                    raise
                time.sleep(self._settings.store_retry_s)

    # Parts of a batch that fails or stops may be finished: their claims are over.
    def _give_back(self, claims: Sequence[Claimed]) -> list[Claimed]:
        """Put what was stopped back, where a cancelled job ends; return which were."""
        return [claim for claim in claims if self._queue.give_back(claim)]

    def _fail(self, claims: Sequence[Claimed], detail: str, *, retry: bool) -> list[Claimed]:
        """Give each job another attempt or end it; return those to which that happened."""
        failures = [(claim, Failure(claim.job.id, Reason.ERROR, detail)) for claim in claims]
        failed = [claim for claim, why in failures if self._queue.fail(claim, why, retry=retry)]
        for _ in failed if retry else ():
            self._metrics.retried()
        return failed

    def _trace(
        self, claims: Sequence[Claimed], claimed_s: float, error: Exception | None = None
    ) -> None:
        kind = "" if error is None else type(error).__name__
        self._attempt(lambda: self._traces.unfinished(claims, claimed_s, kind), "trace jobs")

    def _learn(self, ran: Ran) -> None:
        """Correct the predictions by what the run really took."""
        self._speed.ran(ran)
        self._desk = replace(self._desk, costs=self._speed.costs)

    def _announce(self, busy_ms: float) -> None:
        """Tell for how long this worker is busy, if that is worth telling; 0: it is free again."""
        if 0.0 < busy_ms <= BRIEF_MS:
            return
        self._busy_until_s = time.monotonic() + busy_ms / 1e3 if busy_ms else 0.0
        self._news.set()

    def _announce_free(self) -> None:
        if self._busy_until_s:
            self._busy_until_s = 0.0
            self._attempt(self._publish)

    def _heartbeat(self) -> None:
        """Publish the card every heartbeat and whenever there is news; withdraw it at the end."""
        while not self._stopping.is_set():
            self._attempt(self._publish)
            self._news.wait(self._settings.heartbeat_s)
            self._news.clear()
        self._attempt(lambda: self._queue.retire(self._card.worker), "withdraw the worker card")

    def _publish(self) -> None:
        with self._publishing:  # an older card must not follow a newer one
            left_s = max(self._busy_until_s - time.monotonic(), 0.0)
            busy_until = self._queue.now_unix_ms() + round(left_s * 1e3) if left_s else 0
            news = {"costs": self._desk.costs, "busy_until_unix_ms": busy_until, "ready": True}
            card = self._card.copy(**news, max_batch=self._halving.max_batch)
            self._queue.publish(card, self._desk.book)
            self._metrics.published()

    def _attempt(self, action: Callable[[], object], what: str = "publish the worker card") -> None:
        try:
            action()
        except StoreUnavailable as error:
            log.warning("cannot %s: %s", what, error)
        except Exception:  # the thread must go on: without a card the worker gets no work
            log.exception("cannot %s", what)
