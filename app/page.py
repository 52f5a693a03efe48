"""The page at `/` and what it loads: a fixed table of files, read once, served from memory.

Laws of this file:
1. No part of a request becomes part of a path: what is not in the table does not exist.
2. The page runs nothing and shows nothing from elsewhere, and no text of its own as HTML: its
   Content-Security-Policy says so to the browser.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

FOLDER = Path(__file__).parent / "web"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
NAMES = (
    "index.html", "icon.svg",
    "style.css", "compare.css", "status.css",
    "main.js", "api.js", "dom.js", "errors.js", "form.js", "frontier.js", "schedule.js", "job.js",
    "timing.js", "snippets.js", "code.js", "history.js", "playground.js", "key.js",
    "status.js", "compare.js", "difference.js",
    "vendor/LICENSES.txt", "vendor/eventsource.js", "vendor/idb-keyval.js", "vendor/uplot.css",
    "vendor/uplot.js",
)  # fmt: skip
FILES = {("/" if name == "index.html" else f"/page/{name}"): name for name in NAMES}
PATHS = frozenset(FILES)
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    # Looked up again each time, so that a new release is seen at once; it costs a 304.
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file in memory, plain and compressed."""

    plain: bytes
    compressed: bytes
    media_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> StaticFile:
        """Read a file of the package."""
        plain = path.read_bytes()
        etag = f'W/"{hashlib.sha256(plain).hexdigest()[:16]}"'
        return cls(plain, gzip.compress(plain, mtime=0), TYPES[path.suffix], etag)

    def answer(self, if_none_match: str, accept_encoding: str) -> Response:
        """Return the file, compressed where that is understood, or 304 where it is known."""
        headers = {**HEADERS, "ETag": self.etag}
        if self.etag in if_none_match:
            return Response(status_code=304, headers=headers)
        if "gzip" not in accept_encoding:
            return Response(self.plain, headers=headers, media_type=self.media_type)
        headers["Content-Encoding"] = "gzip"
        return Response(self.compressed, headers=headers, media_type=self.media_type)


def page_routes() -> APIRouter:
    """Return the addresses of the page."""
    files = {path: StaticFile.read(FOLDER / name) for path, name in FILES.items()}
    router = APIRouter()

    async def serve(request: Request) -> Response:
        file, told = files.get(request.url.path), request.headers
        if file is None:
            raise HTTPException(404)
        return file.answer(told.get("if-none-match", ""), told.get("accept-encoding", ""))

    for path in ("/", "/page/{name:path}"):
        router.add_api_route(path, serve, methods=["GET", "HEAD"], include_in_schema=False)
    return router
