"""The gateway as its callers meet it: over HTTP and with a key that its own image made."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deploy.checks.repeating import repeated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGE = "localhost/blockcache-gateway:check"
# More than `traffic` asks for.
LIMITS = ("--requests-per-minute", "6000", "--concurrent-jobs", "100")
WISH = {"prompt": "red apple", "latency_budget_ms": 20_000}


def ask(url: str, body: dict[str, Any] | None = None, **headers: str) -> tuple[int, bytes]:
    """Return status and body; 0 when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **headers}
    try:
        request = urllib.request.Request(url, data, sent)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def add_key(file: Path, name: str) -> str:
    """Add a key's line to a keys file as docs/deploy.md says; return the key."""
    command = ["podman", "run", "--rm", "--network", "none", IMAGE, "keys", name, *LIMITS]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(done.stdout)
    found = re.search(r"bck_[\w-]+", done.stderr)
    if found is None:
        sys.exit("`blockcache keys` shows no key")
    return found[0]


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway at a URL, asked with a key."""

    url: str
    key: str

    def ask(
        self, path: str, body: dict[str, Any] | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Return status and body; 0 when nobody answers."""
        return ask(self.url + path, body, Authorization=f"Bearer {self.key}", **headers)

    def lets_in(self) -> bool:
        """Whether the key is known."""
        return self.ask("/models")[0] == 200

    def is_ready(self) -> bool:
        """Whether a picture could be made now, as told to those without a key."""
        return ask(f"{self.url}/readyz")[0] == 200

    def accepted(self, **wish: Any) -> str:
        """Have a job accepted without waiting for it; return its id."""
        body = {"prompt": "a tree", "latency_budget_ms": 60_000, **wish}
        status, answer = self.ask("/generate", body, Prefer="respond-async")
        if status != 202:
            sys.exit(f"not accepted: {status} {answer!r}")
        return str(json.loads(answer)["id"])

    def state_of(self, job: str) -> str:
        """Return the state of a job, nothing while the gateway cannot tell."""
        status, answer = self.ask(f"/jobs/{job}")
        return str(json.loads(answer)["state"]) if status == 200 else ""

    @contextmanager
    def traffic(self) -> Iterator[None]:
        """Ask for pictures, some within an impossible budget, until left."""

        def wish() -> None:
            for budget_ms in (1, 4000, 1500):
                self.ask("/generate", {"prompt": "a star", "latency_budget_ms": budget_ms})

        with repeated(wish, 0.2):
            yield
