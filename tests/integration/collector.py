"""A collector of traces on this machine: takes OTLP over HTTP and keeps the spans."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Seen:
    """One span as it came in, ids in hex."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    links: frozenset[str]
    start_ns: int
    end_ns: int
    failed: bool


class Collector:
    """Keeps every span it is sent."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.raw = b""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def endpoint(self) -> str:
        """Its address, as the setting takes it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def named(self, name: str) -> Seen:
        """Return the only span of that name."""
        (found,) = (span for span in self.spans if span.name == name)
        return found

    def under(self, parent: Seen) -> list[str]:
        """Return the names of the spans right inside one, in the order in which they began."""
        inner = [span for span in self.spans if span.parent_id == parent.span_id]
        return [span.name for span in sorted(inner, key=lambda span: span.start_ns)]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                known = self.path == "/v1/traces"
                if known:
                    collector.raw += body
                    collector.spans += _spans(body)
                self.send_response(200 if known else 404)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _spans(body: bytes) -> list[Seen]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        _seen(span, _plain(of.resource.attributes)["service.name"])
        for of in request.resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    ]


def _seen(span: Any, service: str) -> Seen:
    return Seen(
        service=service,
        name=span.name,
        kind=span.kind,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_plain(span.attributes),
        links=frozenset(link.span_id.hex() for link in span.links),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        failed=span.status.code == 2,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
