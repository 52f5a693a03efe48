"""Bytes that no honest client sends: refused or dropped, never a 5xx or a traceback in the log."""

from __future__ import annotations

import json
import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    import httpx

    from tests.integration.fake_worker import FakeWorker

POSTS = ("/generate", "/jobs", "/plan", "/v1/images/generations", "/sdapi/v1/txt2img")
WISH = b'{"prompt": "a cat", "latency_budget_ms": 5000}'


def request(start: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    length = b"Content-Length: %d" % len(body)
    lines = (start, b"Host: localhost", b"Connection: close", *headers, *([length] if body else []))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def a_post(path: str, body: bytes, *headers: bytes) -> bytes:
    start = f"POST {path} HTTP/1.1".encode()
    return request(start, b"Content-Type: application/json", *headers, body=body)


BODIES = {
    "nested": b'{"prompt": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    "nested-lists": b'{"prompt": "x", "seed": ' + b"[" * 20_000,
    "twice": b'{"prompt": "x", "prompt": {"$ne": null}, "latency_budget_ms": 1e400}',
    "surrogates": b'{"prompt": "\\udfff\\ud800", "negative_prompt": "\\ud83d"}',
    "bidi": json.dumps({"prompt": "\u202e\u2066\ufeff\U000e0001" * 99}).encode(),
    "utf-16": '{"prompt": "a cat"}'.encode("utf-16"),
    "bom": b"\xef\xbb\xbf" + WISH,
    "minus-zero": b'{"prompt": "x", "seed": -0.0, "latency_budget_ms": -0.0}',
    "tiny": b'{"prompt": "x", "latency_budget_ms": 5e-324}',
    "keys": b"{" + b",".join(b'"k%d": 1' % n for n in range(4000)) + b"}",
    "prototype": b'{"__proto__": {"x": 1}, "__class__": "x", "prompt": "x"}',
    "format": b'{"prompt": "{0.__class__} %s %n ${jndi:ldap://x} \\u001b[31m", "model": "{x}"}',
}
HEADERS = {
    "ids": (b"Idempotency-Key: " + b"k" * 9000, b"X-Request-Id: " + b"\xff" * 90),
    "latin": (b"Idempotency-Key: \xe9\xff", b"Prefer: \xff", b"Accept: \xff/\xff"),
    "prefer": (b"Prefer: respond-async, wait=" + b"9" * 400, b"X-Stainless-Read-Timeout: 1e400"),
    "timeout": (b"X-Stainless-Read-Timeout: nan", b"Prefer: wait=-1, wait=, ,;="),
    "accept": (b"Accept: " + b"image/png;q=0.5," * 2000,),
    "encoding": (b"Content-Encoding: gzip", b"Transfer-Encoding: identity"),
    "auth": (b"Authorization: Bearer \xff\x01", b"X-API-Key: " + b"\xf0" * 100),
    "host": (b"Host: y", b"X-Forwarded-For: ' OR 1=1", b"X-Forwarded-Host: evil"),
}
RAW = {
    "nothing": b"\r\n\r\n",
    "binary": bytes(range(256)) * 8,
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
    "no-such-method": request(b"BREW /generate HTTP/1.1"),
    "lower-case": request(b"get / HTTP/1.1"),
    "absolute": request(b"GET http://evil.example/jobs/x HTTP/1.1"),
    "asterisk": request(b"OPTIONS * HTTP/1.1"),
    "connect": request(b"CONNECT evil.example:443 HTTP/1.1"),
    "nul": request(b"GET /jobs/a%00b/images/0 HTTP/1.1"),
    "climbing": request(b"GET /jobs/../../../../etc/passwd HTTP/1.1"),
    "encoded-climbing": request(b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1"),
    "bad-percent": request(b"GET /jobs/%zz%e2%28%a1 HTTP/1.1"),
    "long-path": request(b"GET /" + b"a/" * 20_000 + b" HTTP/1.1"),
    "many-headers": request(b"GET /plans HTTP/1.1", *(b"X-%d: y" % n for n in range(2000))),
    "two-lengths": b"POST /plan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
    b"Content-Length: 9\r\nContent-Type: application/json\r\n\r\n{}",
    "smuggling": b"POST /plan HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n0\r\n\r\nGET /jobs/x",
    "minus-length": b"POST /plan HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "bad-chunk": b"POST /plan HTTP/1.1\r\nHost: localhost\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "websocket": request(
        b"GET /jobs/x/events HTTP/1.1",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ),
    "last-event": request(b"GET /jobs/x/events HTTP/1.1", b"Last-Event-ID: 0-0 $ > +"),
}
HOSTILE = {
    **{f"{name}{path}": a_post(path, body) for name, body in BODIES.items() for path in POSTS},
    **{f"{n}{p}": a_post(p, WISH, *headers) for n, headers in HEADERS.items() for p in POSTS},
    **RAW,
}


def send(client: httpx.Client, content: bytes) -> bytes:
    """Return the first bytes of what comes back, none when the connection is closed instead."""
    address = urlsplit(str(client.base_url))
    with socket.create_connection((address.hostname, address.port), timeout=20) as raw:
        with suppress(ConnectionError):
            raw.sendall(content)
            raw.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            return raw.recv(64)
    return b""


def test_nothing_hostile_is_a_failure_of_the_gateway(
    gateway: httpx.Client, worker: FakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answers = {name: send(gateway, content) for name, content in HOSTILE.items()}

    failed = {name: start for name, start in answers.items() if start.startswith(b"HTTP/1.1 5")}
    assert not failed
    assert not caplog.records
    assert gateway.get("/healthz").is_success
