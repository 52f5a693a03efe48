"""Traces from the request through the queue to the steps: what is told of them, and to whom.

Laws of this file:
1. No exporter is loaded unless an endpoint is set.
2. No span holds anything a caller wrote.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from app.contract.errors import TracingUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    Answered = Callable[[str, int], None]

TRACES_PATH = "/v1/traces"


class Kind(StrEnum):
    """What a span is to those of other processes."""

    INTERNAL = "internal"
    PRODUCER = "producer"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A span that is over, with the spans inside it; `error` says what it ended with, if any."""

    name: str
    start_unix_s: float
    end_unix_s: float
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    inner: tuple[Recorded, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class JobTrace:
    """The spans of one job, and the traceparent that came with it; None: a trace of its own."""

    span: Recorded
    parent: str | None


class Tracing(Protocol):
    """Takes spans and passes them on without making anybody wait."""

    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[Answered]:
        """Time a request as part of the trace its headers name.

        What is yielded takes the route's template and the status once they are known.
        """
        ...

    def span(self, name: str, kind: Kind = Kind.INTERNAL) -> AbstractContextManager[None]:
        """Time a block as part of what goes on here; an error's type is kept, its text is not."""
        ...

    def trace_id(self) -> str | None:
        """Return the id of the trace that goes on here."""
        ...

    def traceparent(self) -> str | None:
        """Return the W3C traceparent under which others go on."""
        ...

    def record(self, jobs: Sequence[JobTrace]) -> None:
        """Take the spans of jobs that ran as one batch; each is linked to the others."""
        ...

    def close(self) -> None:
        """Pass on what is left, in seconds, or drop it."""
        ...


def _unheard(_route: str, _status: int) -> None:
    """Take what nobody wants to know."""


# Of these one serves for all blocks: requests have several each.
_UNHEARD: AbstractContextManager[Answered] = nullcontext(_unheard)
_UNTIMED: AbstractContextManager[None] = nullcontext()


class NoTracing:
    """Takes nothing and passes nothing on."""

    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[Answered]:  # noqa: ARG002
        """Run the block."""
        return _UNHEARD

    def span(self, name: str, kind: Kind = Kind.INTERNAL) -> AbstractContextManager[None]:  # noqa: ARG002
        """Run the block."""
        return _UNTIMED

    def trace_id(self) -> str | None:
        """There is none."""
        return None

    def traceparent(self) -> str | None:
        """There is none."""
        return None

    def record(self, jobs: Sequence[JobTrace]) -> None:
        """Drop them."""

    def close(self) -> None:
        """Nothing is left."""


OFF = NoTracing()


def is_endpoint(url: str) -> bool:
    """Whether a URL may be that of an OTLP/HTTP collector."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query


def traces_url(endpoint: str) -> str:
    """Return where a collector takes traces; its address alone is enough."""
    bare = endpoint.rstrip("/")
    return bare if bare.endswith(TRACES_PATH) else bare + TRACES_PATH


def trace_id_of(traceparent: str) -> str:
    """Return the trace id in a W3C traceparent."""
    return traceparent.split("-")[1]


def open_tracing(endpoint: str | None, service: str) -> Tracing:
    """Return what exports the spans of `service` to an OTLP/HTTP collector; OFF without one.

    Raises TracingUnavailable when the endpoint is no URL or the extra is not installed.
    """
    if not endpoint:
        return OFF
    if not is_endpoint(endpoint):
        raise TracingUnavailable("the OTLP endpoint must be an http:// or https:// URL")
    try:
        from app.contract.otlp import OtlpTracing
    except ImportError as error:
        raise TracingUnavailable(
            "an OTLP endpoint is set, but the extra `tracing` is not installed: "
            "pip install --constraint constraints.txt '.[tracing]'"
        ) from error
    return OtlpTracing(traces_url(endpoint), service)
