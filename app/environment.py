"""Secrets as containers bring them: in files, the password apart from the URL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit, urlunsplit

from app.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

SUFFIX = "_FILE"
STORE_URL = "BLOCKCACHE_STORE_URL"
STORE_PASSWORD = "BLOCKCACHE_STORE_PASSWORD"  # noqa: S105 the variable's name
WEBHOOK_SECRET = "BLOCKCACHE_WEBHOOK_SECRET"  # noqa: S105 the variable's name
FROM_FILES = (STORE_URL, STORE_PASSWORD, WEBHOOK_SECRET)
MAX_FILE_BYTES = 65_536


def resolved(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that files and the password add or change.

    `BLOCKCACHE_STORE_URL_FILE` and the like for FROM_FILES name files that hold what the variables
    without `_FILE` do; `BLOCKCACHE_STORE_PASSWORD` is put into a store URL that carries
    none. Raises SettingsError naming the variable, never a secret.
    """
    added = {
        name: _content(name + SUFFIX, path)
        for name in FROM_FILES
        if (path := environment.get(name + SUFFIX))
    }
    twice = sorted(name for name in added if environment.get(name))
    if twice:
        raise SettingsError(f"{twice[0]} and {twice[0]}{SUFFIX} are both set: keep one of them")
    both = {**environment, **added}
    url, password = both.get(STORE_URL), both.get(STORE_PASSWORD)
    if url and password:
        added[STORE_URL] = _with_password(url, password)
    return added


def resolve(environment: MutableMapping[str, str]) -> None:
    """Put what `resolved` returns in the place of the files, so that child processes inherit it."""
    environment.update(resolved(environment))
    for name in FROM_FILES:
        environment.pop(name + SUFFIX, None)


def _content(name: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
            text = content.decode().strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{name}: cannot read {path}: {error}") from error
    if not text or len(content) > MAX_FILE_BYTES:
        raise SettingsError(f"{name}: {path} is empty or longer than {MAX_FILE_BYTES} bytes")
    return text


def _with_password(url: str, password: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return url  # what is wrong with it is said where it is used
    if parts.password or not parts.netloc:
        return url
    user, _, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{address}"))
