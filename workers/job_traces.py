"""The spans of jobs a worker took, put together from measured times once all is over."""

from __future__ import annotations

import time
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from app.contract.tracing import OFF, JobTrace, Recorded, trace_id_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.jobs import Result
    from app.contract.ports import Claimed
    from app.contract.tracing import Tracing
    from workers.rendering import Rendered

JOB = "job"


class JobTraces:
    """Tells a tracing what became of jobs. `claimed_s` is on the monotonic clock."""

    def __init__(self, tracing: Tracing = OFF) -> None:
        self._tracing = tracing

    def finished(
        self, done: Sequence[tuple[Claimed, Result]], made: Rendered, claimed_s: float
    ) -> None:
        """Tell of jobs that were made as one batch."""
        if self._tracing is OFF:
            return
        ahead_s = _ahead_s()
        whole = [
            (claim, job_span(claim, result, made, claimed_s + ahead_s, made.began_s + ahead_s))
            for claim, result in done
        ]
        self._tracing.record([JobTrace(span, claim.job.trace) for claim, span in whole])

    def unfinished(self, claims: Sequence[Claimed], claimed_s: float, error: str = "") -> None:
        """Tell of jobs that were stopped, or ended with an error of that type."""
        if self._tracing is OFF:
            return
        claimed_unix_s, now_unix_s = claimed_s + _ahead_s(), time.time()
        self._tracing.record(
            [
                JobTrace(broken_span(claim, claimed_unix_s, now_unix_s, error), claim.job.trace)
                for claim in claims
            ]
        )


def job_span(
    claim: Claimed, result: Result, made: Rendered, claimed_unix_s: float, began_unix_s: float
) -> Recorded:
    """Return the span of a finished job: its wait in the queue, the stages, in them the steps."""
    timing, plan = result.timing, result.plan
    accepted_unix_s = _accepted(claim, claimed_unix_s)
    attributes = {
        **_known(claim),
        "blockcache.worker": result.worker,
        "blockcache.plan": plan.name,
        "blockcache.steps": plan.steps,
        "blockcache.compute_fraction": plan.compute_fraction,
        "blockcache.batch_size": result.batch_size,
        "blockcache.hit_ratio": round(result.cache.hit_ratio, 4),
        "blockcache.replanned": plan.replanned,
        "blockcache.hurried_steps": plan.hurried_steps,
        "blockcache.extended_steps": plan.extended_steps,
    }
    inner = (_queue(claim, claimed_unix_s), *stage_spans(made, began_unix_s))
    ended_unix_s = max(accepted_unix_s + timing.total_ms / 1e3, inner[-1].end_unix_s)
    return Recorded(JOB, accepted_unix_s, ended_unix_s, attributes, inner)


def broken_span(claim: Claimed, claimed_unix_s: float, ended_unix_s: float, error: str) -> Recorded:
    """Return the span of a job that was stopped (no `error`) or failed."""
    inner = (_queue(claim, claimed_unix_s),)
    attributes = {**_known(claim), "blockcache.stopped": not error}
    start = _accepted(claim, claimed_unix_s)
    return Recorded(JOB, start, ended_unix_s, attributes, inner, error)


def stage_spans(made: Rendered, began_unix_s: float) -> tuple[Recorded, ...]:
    """Return what a run did one after the other, the steps within denoising, then its pauses."""
    named = {
        "encode": made.encode_ms,
        "denoise": made.denoise_ms + made.paused_ms,
        "decode": made.decode_ms,
        "png": made.png_ms,
    }
    marks = _marks(list(named.values()), began_unix_s)
    spans = [Recorded(name, *when) for name, when in zip(named, pairwise(marks), strict=True)]
    encode, denoise, *rest = spans
    steps = _steps(made.step_ms, denoise.start_unix_s)
    return (
        encode,
        Recorded(denoise.name, denoise.start_unix_s, denoise.end_unix_s, {}, steps),
        *rest,
    )


def _steps(step_ms: Sequence[float], start_unix_s: float) -> tuple[Recorded, ...]:
    times = pairwise(_marks(step_ms, start_unix_s))
    return tuple(
        Recorded("step", start, end, {"blockcache.step": number})
        for number, (start, end) in enumerate(times, 1)
    )


def traces_of(claims: Sequence[Claimed]) -> str:
    """Return the trace ids of jobs as the end of a log line, nothing for those without."""
    ids = [trace_id_of(claim.job.trace) for claim in claims if claim.job.trace]
    return f" (trace_id {' '.join(ids)})" if ids else ""


def _known(claim: Claimed) -> dict[str, str | int | float | bool]:
    job = claim.job
    return {
        "blockcache.job_id": job.id,
        "blockcache.model": job.model,
        "blockcache.images": job.images,
        "blockcache.attempt": claim.attempt,
    }


def _queue(claim: Claimed, claimed_unix_s: float) -> Recorded:
    return Recorded("queue", _accepted(claim, claimed_unix_s), claimed_unix_s)


def _accepted(claim: Claimed, claimed_unix_s: float) -> float:
    return claimed_unix_s - claim.waited_ms / 1e3


def _marks(times_ms: Sequence[float], start_unix_s: float) -> list[float]:
    return [start_unix_s + ms / 1e3 for ms in accumulate(times_ms, initial=0.0)]


def _ahead_s() -> float:
    """How far the wall clock is ahead of the monotonic one."""
    return time.time() - time.monotonic()
