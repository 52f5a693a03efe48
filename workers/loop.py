"""The worker loop: claim, run, finish, until told to stop."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING

from app.contract.errors import StoreUnavailable
from app.contract.jobs import Failure, Reason
from schedules.cost import Drift
from schedules.errors import ScheduleError
from schedules.ladder import Ladder
from schedules.planner import price
from workers.agenda import NEVER_MS, Agenda
from workers.background import Keepers
from workers.batch import Desk, Ran, nobody_first, results, run_batch, settle_plan
from workers.dispatch import Dispatch
from workers.errors import Stopped, UnknownSolver
from workers.halving import Halving
from workers.job_traces import JobTraces, traces_of
from workers.lease import leased
from workers.lookout import looking
from workers.pauses import Pauses, room_beside
from workers.previews import aside
from workers.speed import Idleness, Speed
from workers.warming import probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from app.contract.cards import WorkerCard
    from app.contract.ports import Claimed, Made, WorkerQueue
    from schedules.replanning import Aim
    from workers.batch import First
    from workers.dispatch import Sooner
    from workers.lease import Lease
    from workers.loop_settings import LoopSettings
    from workers.previews import Draw
    from workers.speed import Took
    from workers.telemetry import WorkerMetrics

log = logging.getLogger(__name__)
# A job that comes during a capture waits for its end: few at once, and after a batch, when the next
# may be there already, only of what comes again and again.
CAPTURES = 1
WANTED = 2


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
        self._agenda = Agenda(self._news.set)
        self._keepers = Keepers()
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
        self._keepers.close()
        beat.join()

    def _serve_once(self) -> None:
        try:
            ladder = self._ladder.drifted(self._desk.costs, self._halving.max_batch)
            choose = Dispatch(ladder, self._settings.upgrade, self._room)
            asked = (self._card.lane, self._card.worker, choose, self._settings.claim_wait_s)
            claims = self._queue.claim(*asked)
            if self._desk.aim != choose.aim:
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

    def _run(self, claims: Sequence[Claimed], most_ms: float = NEVER_MS) -> bool:
        """Make a batch; return False when it was given back, as one that takes too long is."""
        claimed_s, depth = time.monotonic(), self._agenda.depth
        try:
            self._make(claims, claimed_s, most_ms)
        except Stopped:
            self._trace(self._give_back(claims), claimed_s)
            return False
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
            if self._agenda.end(depth):  # it ended without that having been announced
                self._news.set()
        return True

    def _make(self, claims: Sequence[Claimed], claimed_s: float, most_ms: float) -> None:
        depth, beside = self._agenda.depth, self._beside(claims)
        settled = settle_plan(self._desk, claims)
        if settled.p95_ms > most_ms:
            raise Stopped("it would take too long")
        self._begin(claims, settled.predicted_ms, beside)
        stall_s = self._settings.stall_for_s(settled.predicted_ms)
        with (
            leased(self._queue, claims, stall_s, self._keepers.kept) as lease,
            aside(claims, self._show) as show,
            self._pauses(lease, beside) as first,
        ):

            def run(part: Sequence[Claimed]) -> Ran:
                how = (lease, claimed_s, self._must_stop, show)
                if part is claims:
                    return run_batch(self._desk, part, *how, settled, first)
                self._agenda.hold()
                return run_batch(self._desk, part, *how)

            last, ran = self._halving(run, claims, partial(self._finish, claimed_s=claimed_s))
            # Before the answers are out: whoever gets one may ask again at once.
            self._learn(ran)
            self._announce_end(depth)
        self._finish(last, ran, claimed_s)

    def _beside(self, claims: Sequence[Claimed]) -> Ladder | None:
        """Return the ladder of what may come before the rest of a batch, None where nothing may."""
        room = self._room(sum(claim.job.images for claim in claims))
        return (
            None if self._agenda.depth or room < 1 else self._ladder.drifted(self._desk.costs, room)
        )

    def _room(self, images: int) -> int:
        """Return how many pictures may come before the rest of a batch of so many."""
        most = self._halving.max_batch if self._settings.pausing else 0
        return room_beside(images, most, self._desk.memory)

    def _begin(self, claims: Sequence[Claimed], predicted_ms: float, beside: Ladder | None) -> None:
        least_ms = NEVER_MS if beside is None else beside.batch_ms[0][0]
        self._agenda.begin(predicted_ms, min(claim.left_ms for claim in claims), least_ms)

    @contextmanager
    def _pauses(self, lease: Lease, beside: Ladder | None) -> Iterator[First]:
        """Give what says between two steps what comes first."""
        if beside is None:
            yield nobody_first
            return
        lane, worker = self._card.lane, self._card.worker
        with looking(lambda: self._queue.urgent_ms(lane), self._keepers.kept) as lookout:

            def take(choose: Sooner) -> Sequence[Claimed]:
                is_over = self._stopping.is_set()
                return [] if is_over else self._queue.claim(lane, worker, choose, 0.0)

            yield Pauses(lookout, lease, beside, self._agenda.go_on, take, self._make_first)

    def _make_first(self, claims: Sequence[Claimed], aim: Aim, most_ms: float) -> bool:
        """Make those a batch stands back for; return False when that would take too long."""
        self._desk = replace(self._desk, aim=aim)
        if made := self._run(claims, most_ms):
            self._metrics.paused()
        return made

    def _probe(self) -> None:
        """Find out how fast this machine is by now; whoever asks meanwhile counts on the wait."""
        costs = self._desk.costs
        self._agenda.begin(price(self._desk.book.frontier(costs)[0], costs).predicted_ms)
        self._speed.probed(probe(self._desk))
        self._desk = replace(self._desk, costs=self._speed.costs)
        self._announce_end(0)

    def _capture(self, least: int = 1) -> None:
        self._attempt(partial(self._desk.graphs.capture, CAPTURES, least), "record a CUDA graph")

    def _show(self, claim: Claimed, number: int, draw: Draw) -> None:
        self._attempt(lambda: self._queue.preview(claim, number, draw()), "send a preview")

    def _finish(self, claims: Sequence[Claimed], ran: Ran, claimed_s: float) -> None:
        def since_claim_ms() -> float:
            return (time.monotonic() - claimed_s) * 1e3

        made = results(self._desk, claims, ran, since_claim_ms)
        stored = self._persist(made)
        self._metrics.lease_lost(stored.count(False))
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
        if self._desk.costs is not self._speed.costs:
            self._desk = replace(self._desk, costs=self._speed.costs)

    def _announce_end(self, depth: int) -> None:
        if self._agenda.end(depth):
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
            busy = self._agenda.told(self._queue.now_unix_ms()) if self._agenda.depth else {}
            news = {"costs": self._desk.costs, "max_batch": self._halving.max_batch, "ready": True}
            card = self._card.copy(**news, **busy)
            self._queue.publish(card, self._desk.book)
            self._metrics.published()

    def _attempt(self, action: Callable[[], object], what: str = "publish the worker card") -> None:
        try:
            action()
        except StoreUnavailable as error:
            log.warning("cannot %s: %s", what, error)
        except Exception:  # the thread must go on: without a card the worker gets no work
            log.exception("cannot %s", what)
