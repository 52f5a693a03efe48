"""What the gateway tells the store of a new job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.contract.values import Value

if TYPE_CHECKING:
    from app.contract.jobs import Job
    from app.contract.once import Once
    from app.contract.settings import QueueSettings


class Newcomer(Value, frozen=True):
    """A job to be accepted, and on what terms; `met_others`: it found no worker free."""

    job: Job
    budget_ms: float
    most_live: int = 0
    once: Once | None = None
    met_others: bool = False
    webhook: str = ""

    def arguments(self, settings: QueueSettings) -> tuple[str | float, ...]:
        """Return the arguments of the script `submit`, in its order."""
        job, once = self.job, self.once
        described = (job.id, job.encode(), job.model, job.batch_class, job.images)
        planned = (job.plan.predicted_ms, job.plan.steps, self.budget_ms)
        unclaimed_ttl_ms = settings.unclaimed_ttl_s * 1000
        limits = (settings.max_jobs, unclaimed_ttl_ms, settings.dead_ttl_s * 1000)
        named = ("", "") if once is None else (once.name, once.fingerprint)
        remember_ms = self.budget_ms + unclaimed_ttl_ms + settings.result_ttl_s * 1000
        caller = (job.owner or "", self.most_live, *named, round(remember_ms))
        shared = (job.plan.quality, job.floor, int(self.met_others))
        return (*described, *planned, *limits, *caller, *shared, self.webhook, job.lane.name)
