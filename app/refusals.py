"""Why there is no picture: from verdicts and failures to the errors that say so."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from app import admission, errors
from app.contract.jobs import Reason

if TYPE_CHECKING:
    from app.contract.jobs import Failure

FAILURES: dict[Reason, tuple[str, type[errors.Refused]]] = {
    Reason.CANCELLED: ("cancelled", errors.JobCancelled),
    Reason.DEADLINE: ("missed", errors.DeadlineMissed),
    Reason.ERROR: ("failed", errors.JobFailed),
    Reason.DEAD: ("dead", errors.JobFailed),
}


def failed(failure: Failure) -> tuple[str, errors.Refused]:
    """Return what a failed job counts as, and the error that tells its caller why."""
    name, error = FAILURES[failure.reason]
    return name, error(failure.detail)


def refusal(verdict: admission.Verdict) -> errors.Refused:
    """Return the error that tells a caller why the answer is no."""
    match verdict:
        case admission.TooSmall(minimum_ms):
            return errors.BudgetTooSmall(minimum_ms)
        case admission.TooGood(best):
            return errors.QualityTooHigh(best.value, best.metric)
        case admission.Queued(retry_after_s, minimum_ms):
            sentence = f"Others are before you; try again in {retry_after_s} s"
            detail = f"{sentence}, or ask for at least {math.ceil(minimum_ms)} ms."
            return errors.Busy(detail, retry_after_s, minimum_ms)
        case _:
            return errors.NoWorkers("No worker is ready to make pictures.")


def refuse_webhook(url: str | None) -> None:
    """Raise InvalidRequest when a request whose caller waits for the answer names a webhook."""
    if url is not None:
        why = "is for who does not wait: send Prefer: respond-async, or use POST /jobs"
        raise errors.InvalidRequest([errors.FieldError("webhook_url", why)])
