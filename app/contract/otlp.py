"""Exports spans by OTLP over HTTP; the only module that knows OpenTelemetry."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    SpanKind,
    StatusCode,
    format_trace_id,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.contract.tracing import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from opentelemetry.trace import Span

    from app.contract.tracing import Answered, JobTrace, Recorded

# A collector that is away must not keep a process from stopping.
CLOSE_S = 3.0
SERVER_ERROR = 500


class OtlpTracing:
    """Spans of one process, sent from a thread of their own.

    Sampling, headers and certificates are set by OpenTelemetry's own variables.
    """

    def __init__(self, url: str, service: str) -> None:
        named = {"service.name": service, "service.version": version("blockcache")}
        self._provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=url)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("blockcache")
        self._w3c = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, method: str, headers: Mapping[str, str]) -> Iterator[Answered]:
        """Time a request as part of the trace its headers name."""
        parent = self._w3c.extract(headers, Context())
        with self._current(method, SpanKind.SERVER, parent) as span:

            def answered(route: str, status: int) -> None:
                span.update_name(f"{method} {route}")
                span.set_attribute("http.request.method", method)
                span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                if status >= SERVER_ERROR:
                    span.set_status(StatusCode.ERROR)

            yield answered

    @contextmanager
    def span(self, name: str, kind: Kind = Kind.INTERNAL) -> Iterator[None]:
        """Time a block as part of what goes on here."""
        with self._current(name, SpanKind[kind.name]) as span:
            try:
                yield
            except Exception as error:
                _went_wrong(span, type(error).__name__)
                raise

    @contextmanager
    def _current(self, name: str, kind: SpanKind, parent: Context | None = None) -> Iterator[Span]:
        # The library would keep an error's text, which may hold what a caller wrote.
        with self._tracer.start_as_current_span(
            name, parent, kind, record_exception=False, set_status_on_exception=False
        ) as span:
            yield span

    def trace_id(self) -> str | None:
        """Return the id of the trace that goes on here."""
        here = get_current_span().get_span_context()
        return format_trace_id(here.trace_id) if here.is_valid else None

    def traceparent(self) -> str | None:
        """Return the W3C traceparent under which others go on."""
        carrier: dict[str, str] = {}
        self._w3c.inject(carrier)
        return carrier.get("traceparent")

    def record(self, jobs: Sequence[JobTrace]) -> None:
        """Take the spans of jobs that ran as one batch; each is linked to the others."""
        spans = [self._begun(job) for job in jobs]
        for span, job in zip(spans, jobs, strict=True):
            for other in spans:
                if other is not span:
                    span.add_link(other.get_span_context())
            self._end(span, job.span)

    def _begun(self, job: JobTrace) -> Span:
        carrier = {"traceparent": job.parent} if job.parent else {}
        parent = self._w3c.extract(carrier, Context())
        return self._start(job.span, parent, SpanKind.CONSUMER)

    def _start(self, recorded: Recorded, parent: Context, kind: SpanKind) -> Span:
        start_ns = _ns(recorded.start_unix_s)
        return self._tracer.start_span(
            recorded.name, parent, kind, recorded.attributes, start_time=start_ns
        )

    def _end(self, span: Span, recorded: Recorded) -> None:
        """End a span after those inside it."""
        here = set_span_in_context(span, Context())
        for inner in recorded.inner:
            self._end(self._start(inner, here, SpanKind.INTERNAL), inner)
        if recorded.error:
            _went_wrong(span, recorded.error)
        span.end(_ns(recorded.end_unix_s))

    def close(self) -> None:
        """Pass on what is left, in seconds, or drop it."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)


def _went_wrong(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


def _ns(unix_s: float) -> int:
    return round(unix_s * 1e9)
