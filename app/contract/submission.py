"""What the gateway tells the store of a new job."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.contract.jobs import Job
    from app.contract.ports import Once
    from app.contract.settings import QueueSettings


def arguments(
    job: Job,
    budget_ms: float,
    most_live: int,
    once: Once | None,
    met_others: bool,
    settings: QueueSettings,
) -> tuple[str | float, ...]:
    """Return the arguments of the script `submit`, in its order."""
    described = (job.id, job.encode(), job.model, job.batch_class, job.images)
    planned = (job.plan.predicted_ms, job.plan.steps, budget_ms)
    unclaimed_ttl_ms = settings.unclaimed_ttl_s * 1000
    limits = (settings.max_jobs, unclaimed_ttl_ms, settings.dead_ttl_s * 1000)
    named = ("", "") if once is None else (once.name, once.fingerprint)
    remember_ms = budget_ms + unclaimed_ttl_ms + settings.result_ttl_s * 1000
    caller = (job.owner or "", most_live, *named, round(remember_ms))
    shared = (job.plan.quality, job.min_quality, int(met_others))
    return (*described, *planned, *limits, *caller, *shared)
