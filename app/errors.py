"""What can go wrong in the gateway and its commands.

GatewayError
├── SettingsError          a setting or option has a value it cannot have
├── PortTaken              another program listens on the wanted port
├── ChildDied              a process started by `up` ended by itself
├── ServiceError           a running service answered with an error, or did not answer
├── AddressRefused         a webhook's URL is none, or leads where it may not
├── NoDeadLetter           no dead letter has that id
└── Refused                a request that gets no picture
    ├── UnknownHost        a gateway without keys was asked by a name that is not this machine's
    ├── NoKey              no key was sent, or one that is not known
    ├── TooManyRequests    the key asked too often in the last minute
    ├── TooManyStreams     as many follow jobs here as may
    ├── InvalidRequest     fields are wrong; carries one FieldError each
    ├── BudgetTooSmall     the budget is below the fastest plan on an idle fleet
    ├── QualityTooHigh     no plan is as good as the quality floor
    ├── Busy               the queue is in the way; later it would fit
    ├── NoWorkers          nobody is there to make a picture
    ├── NotAcceptable      the Accept header allows nothing that can be sent
    ├── UnsupportedType    the body is not JSON
    ├── BodyTooLarge       the body is longer than allowed
    ├── BodyTooSlow        the body did not arrive in time
    ├── UnknownJob         no such job, or its result has expired
    ├── UnknownImage       the job has no such picture (yet)
    ├── UnknownPlan        no live plan book has a plan of that name
    ├── JobOver            the job can no longer be cancelled
    ├── DeadlineMissed     no picture arrived within budget and grace
    ├── JobCancelled       the job was cancelled while its caller waited
    ├── JobFailed          the worker could not make the picture
    └── CallerGone         the only waiter disconnected; the job was cancelled
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class GatewayError(Exception):
    """Something the gateway or one of its commands cannot do, said in one sentence."""


class SettingsError(GatewayError):
    """A setting has a value it cannot have; the message names it and what is allowed."""


class PortTaken(GatewayError):
    """Another program listens on the wanted port."""


class ChildDied(GatewayError):
    """A process started by `up` ended by itself; the message holds its last lines."""


class ServiceError(GatewayError):
    """A running service answered with an error (`status`), or did not answer at all (0)."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class AddressRefused(GatewayError):
    """A webhook's URL is none, or leads to an address that may not be called."""


class NoDeadLetter(GatewayError):
    """No dead letter has that id; the message says what is known of it."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field of a request, in plain words."""

    field: str
    message: str


class Refused(GatewayError):
    """A request that gets no picture."""


class UnknownHost(Refused):
    """A gateway without keys was asked by a name that is not this machine's."""


class NoKey(Refused):
    """No key was sent, or one that is not known; `challenge` says which kind is wanted."""

    def __init__(self, message: str, challenge: str) -> None:
        super().__init__(message)
        self.headers = {"WWW-Authenticate": challenge}


class TooManyRequests(Refused):
    """The key asked more than `most` times in the last minute; there is room in `wait_s`."""

    def __init__(self, most: int, wait_s: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"This key may ask {most} times a minute; try again in {wait_s} s.")
        self.headers = {**headers, "Retry-After": str(wait_s)}


class TooManyStreams(Refused):
    """As many follow jobs at this gateway as may."""


class InvalidRequest(Refused):
    """Fields of the request are wrong."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = tuple(errors)


class BudgetTooSmall(Refused):
    """No plan fits the budget even on an idle fleet; `minimum_ms` would."""

    def __init__(self, minimum_ms: float) -> None:
        super().__init__(
            f"The fastest plan needs a latency budget of {minimum_ms:.0f} ms when nothing else"
            " runs; ask for at least that."
        )
        self.minimum_ms = minimum_ms


class QualityTooHigh(Refused):
    """No plan is as good as the quality floor; `best` is the highest on offer."""

    def __init__(self, best: float, metric: str) -> None:
        super().__init__(
            f"The best plan has a quality of {best:g} ({metric}); ask for a min_quality up to that."
        )
        self.best = best


class Busy(Refused):
    """Only the queue is in the way: it would fit after `retry_after_s`, or with `minimum_ms`."""

    def __init__(self, message: str, retry_after_s: int, minimum_ms: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.minimum_ms = minimum_ms


class NoWorkers(Refused):
    """No worker is ready to make a picture."""


class NotAcceptable(Refused):
    """The Accept header allows nothing that can be sent."""


class UnsupportedType(Refused):
    """The body is not JSON."""


class BodyTooLarge(Refused):
    """The body is longer than allowed."""


class BodyTooSlow(Refused):
    """The body did not arrive in time."""


class UnknownJob(Refused):
    """There is no such job, or its result has expired."""


class UnknownImage(Refused):
    """The job has no such picture, or not yet."""


class UnknownPlan(Refused):
    """No live plan book has a plan of that name."""


class JobOver(Refused):
    """The job has ended and can no longer be cancelled."""


class DeadlineMissed(Refused):
    """No picture arrived within the budget and its grace."""


class JobCancelled(Refused):
    """The job was cancelled while its caller waited."""


class JobFailed(Refused):
    """The worker could not make the picture."""


class CallerGone(Refused):
    """The only waiter disconnected; the job was cancelled."""
