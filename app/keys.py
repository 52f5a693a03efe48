"""API keys: who may ask, how often, and how keys are made, written down and recognised.

A keys file has a line for each key: a name, the key's SHA-256, and limits if they differ from the
defaults. `#` begins a comment. Several lines may share a name, so that a key can be replaced while
the old one still works; they also share what counts against their limits.

    alice sha256:9f86d0…0f00a08 requests_per_minute=600 concurrent_jobs=32

A key is 32 random bytes, which nobody can guess or search, so a plain hash protects it and a slow
one would only make every request slower.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PREFIX = "bck_"
SECRET_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
MAX_LIMIT = 99_999
LIMIT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
LIMITS = ("requests_per_minute", "concurrent_jobs")
BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key: whose it is, the SHA-256 it is recognised by, and its limits."""

    name: str
    digest: str
    requests_per_minute: int = 60
    concurrent_jobs: int = 8

    @property
    def line(self) -> str:
        """What goes into the keys file."""
        limits = " ".join(f"{name}={getattr(self, name)}" for name in LIMITS)
        return f"{self.name} sha256:{self.digest} {limits}"


def new_key(name: str, **limits: int) -> tuple[str, ApiKey]:
    """Return a new key as its owner sends it and as it is kept; raises SettingsError."""
    secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    line = ApiKey(name, digest(secret), **limits).line
    return secret, parse_keys(line, "this key")[0]


def digest(secret: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(secret.encode()).hexdigest()


def recognise(secret: str, keys: Iterable[ApiKey]) -> ApiKey | None:
    """Return the key of that secret, in a time that tells nothing of the keys there are."""
    given = digest(secret)
    found = None
    for key in keys:
        if hmac.compare_digest(given, key.digest):
            found = key
    return found


def presented(authorization: str, x_api_key: str) -> str:
    """Return the key a caller sent: as bearer token, else as X-API-Key, else an empty string."""
    if authorization[: len(BEARER)].lower() == BEARER:
        return authorization[len(BEARER) :].strip()
    return x_api_key.strip()


def parse_keys(text: str, source: str = "BLOCKCACHE_KEYS") -> tuple[ApiKey, ...]:
    """Read the lines of a keys file; raises SettingsError naming the line that is wrong."""
    lines = ((n, line.partition("#")[0].split()) for n, line in enumerate(text.splitlines(), 1))
    keys = tuple(_parse_line(words, f"{source}, line {n}") for n, words in lines if words)
    if not keys:
        raise SettingsError(f"{source} holds no key; make one: blockcache keys NAME")
    return keys


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Read a keys file; raises SettingsError when it cannot be read or has a wrong line."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"the keys file {path} cannot be read: {error}") from error
    return parse_keys(text, str(path))


def _parse_line(words: list[str], where: str) -> ApiKey:
    # What is wrong is never repeated: it may be a key that somebody forgot to hash.
    name, found = words[0], DIGEST.fullmatch(words[1] if len(words) > 1 else "")
    if not NAME.fullmatch(name):
        raise SettingsError(f"{where}: a name has up to 64 letters, digits, dots, _ or -")
    if not found:
        raise SettingsError(
            f"{where}: after the name comes sha256: and 64 hexadecimal digits, never the key"
            " itself; `blockcache keys NAME` prints the line"
        )
    return ApiKey(name, found[1], **dict(_parse_limit(word, where) for word in words[2:]))


def _parse_limit(word: str, where: str) -> tuple[str, int]:
    name, _, text = word.partition("=")
    if name not in LIMITS or not LIMIT.fullmatch(text):
        allowed = " or ".join(f"{limit}=N" for limit in LIMITS)
        raise SettingsError(f"{where}: a limit is {allowed} with N from 1 to {MAX_LIMIT}")
    return name, int(text)
