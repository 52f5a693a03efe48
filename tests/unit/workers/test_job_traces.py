from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from app.contract.jobs import Timing
from app.contract.ports import Claimed
from app.contract.tracing import NoTracing
from schedules.schedule import Counts
from tests.builders import a_job, a_result
from workers.job_traces import JobTraces, broken_span, job_span, stage_spans, traces_of
from workers.rendering import Rendered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.tracing import JobTrace, Recorded

CLAIMED_S = 1000.0
BEGAN_S = 1000.002
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def a_claim(**changes: Any) -> Claimed:
    job = a_job("j1", prompt="a secret cat", trace=TRACEPARENT, **changes)
    return Claimed(job, token=1, left_ms=500.0, waited_ms=40.0, attempt=2)


def a_made() -> Rendered:
    counts = Counts(computed=10, reused=5, skipped=5)
    return Rendered((b"",), counts, 2.0, 80.0, 5.0, 3.0, step_ms=(30.0, 20.0, 25.0))


def a_span(**changes: Any) -> Recorded:
    claim = a_claim()
    result = a_result(claim, timing=Timing(40.0, 2.0, 80.0, 5.0, 3.0, 135.0), **changes)
    return job_span(claim, result, a_made(), CLAIMED_S, BEGAN_S)


def times_ms(span: Recorded, since_s: float) -> tuple[float, float]:
    start_ms, end_ms = ((t - since_s) * 1e3 for t in (span.start_unix_s, span.end_unix_s))
    return round(start_ms, 3), round(end_ms, 3)


def test_a_job_begins_with_its_acceptance_and_ends_with_its_answer() -> None:
    assert times_ms(a_span(), CLAIMED_S) == (-40.0, 95.0)


def test_what_a_job_did_follows_its_wait_in_the_queue() -> None:
    queue, *stages = a_span().inner

    assert (queue.name, times_ms(queue, CLAIMED_S)) == ("queue", (-40.0, 0.0))
    assert [stage.name for stage in stages] == ["encode", "denoise", "decode", "png"]


def test_the_stages_follow_one_another_from_when_the_run_began() -> None:
    stages = stage_spans(a_made(), BEGAN_S)

    assert [times_ms(stage, BEGAN_S) for stage in stages] == [
        (0.0, 2.0), (2.0, 82.0), (82.0, 87.0), (87.0, 90.0),
    ]  # fmt: skip


def test_each_step_is_within_the_denoising() -> None:
    _, denoise, *_ = stage_spans(a_made(), BEGAN_S)

    assert [step.attributes["blockcache.step"] for step in denoise.inner] == [1, 2, 3]
    assert all(a.end_unix_s == b.start_unix_s for a, b in pairwise(denoise.inner))
    assert denoise.inner[0].start_unix_s == denoise.start_unix_s
    assert times_ms(denoise.inner[-1], denoise.start_unix_s) == (50.0, 75.0)


def test_a_job_tells_its_plan_and_what_the_cache_did() -> None:
    told = a_span(batch_size=3, cache=Counts(computed=10, reused=5, skipped=5)).attributes

    named = {name.removeprefix("blockcache."): value for name, value in told.items()}
    assert named["job_id"] == "j1"
    assert (named["plan"], named["steps"]) == ("dpmpp_2m-4-full", 4)
    assert (named["compute_fraction"], named["hit_ratio"]) == (1.0, 0.5)
    assert (named["batch_size"], named["attempt"]) == (3, 2)


def test_no_span_holds_the_prompt() -> None:
    assert "secret" not in repr(a_span())
    assert "secret" not in repr(broken_span(a_claim(), CLAIMED_S, BEGAN_S, "ModelError"))


@pytest.mark.parametrize(("error", "stopped"), [("ModelError", False), ("", True)])
def test_a_job_without_a_picture_says_whether_it_was_stopped_or_failed(
    error: str, stopped: bool
) -> None:
    span = broken_span(a_claim(), CLAIMED_S, CLAIMED_S + 1, error)

    assert (span.error, span.attributes["blockcache.stopped"]) == (error, stopped)
    assert times_ms(span, CLAIMED_S) == (-40.0, 1000.0)
    assert [inner.name for inner in span.inner] == ["queue"]


class Kept(NoTracing):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.jobs: list[JobTrace] = []

    def record(self, jobs: Sequence[JobTrace]) -> None:
        self.jobs += jobs


def test_jobs_are_told_under_the_trace_they_came_with() -> None:
    claim, alone = a_claim(), a_claim()
    alone = alone.copy(job=alone.job.copy(trace=None))
    kept = Kept()
    JobTraces(kept).finished([(one, a_result(one)) for one in (claim, alone)], a_made(), 0.0)

    assert [job.parent for job in kept.jobs] == [TRACEPARENT, None]


def test_a_log_line_ends_with_the_traces_of_its_jobs() -> None:
    without = a_claim().copy(job=a_job())

    assert traces_of([a_claim(), without]) == " (trace_id 0af7651916cd43dd8448eb211c80319c)"
    assert traces_of([without]) == ""


def test_a_pause_lies_within_the_denoising() -> None:
    _, denoise, decode, _ = stage_spans(replace(a_made(), paused_ms=50.0), BEGAN_S)

    assert times_ms(denoise, BEGAN_S) == (2.0, 132.0)
    assert times_ms(decode, BEGAN_S) == (132.0, 137.0)
