"""Connections to the store: clients from a URL, and its troubles by name."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ReadOnlyError
from redis.retry import Retry

from app.contract.errors import StoreForgets, StoreUnavailable
from app.contract.shared import SharedClient

if TYPE_CHECKING:
    from collections.abc import Iterator

SOCKET_TIMEOUT_S = 5.0
# Callers have budgets: with its repetitions, they wait five seconds for a host that swallows all.
CONNECT_TIMEOUT_S = 1.0
_RETRIES = 3
# After a fail-over an open connection may lead to what was the primary, and a new one to what is.
_RECONNECT_ON = [ReadOnlyError]

# First word of an error reply, and what it means to the operator. Before version 7 the word stands
# inside a sentence about the script, so it is looked for anywhere in the reply.
TROUBLES = {
    "OOM": "is out of memory: raise its maxmemory or lower max_jobs and result_ttl_s",
    "READONLY": "is a read-only replica: point the URL at the primary",
    "UNBLOCKED": "has just become a read-only replica: try again in a moment",
    "LOADING": "is still loading its data: try again in a moment",
    "MISCONF": "cannot write to its disk: free space or fix its data directory",
    "NOREPLICAS": "has too few replicas to accept writes",
    "MASTERDOWN": "is a replica that lost its primary",
    "CLUSTERDOWN": "is a cluster with a shard missing",
    "TRYAGAIN": "is moving its keys to another shard: try again in a moment",
    "BUSY": "is busy with a script that does not end",
    "NOAUTH": "asks for a password: put it into the URL",
    "WRONGPASS": "does not accept the password in the URL",
    "NOPERM": "does not give this user the rights the queue needs",
}


# Error replies that the client turns into exceptions without their first word.
_SAME_AS = {
    "OOM": ("OutOfMemoryError",),
    "READONLY": ("ReadOnlyError",),
    "LOADING": ("BusyLoadingError",),
    "MASTERDOWN": ("MasterDownError",),
    "CLUSTERDOWN": ("ClusterDownError",),
    "TRYAGAIN": ("TryAgainError",),
    "NOAUTH": ("AuthenticationError",),
    "NOPERM": ("NoPermissionError", "AuthorizationError"),
}


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise StoreUnavailable, with one sentence saying why, for every trouble of the store."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        trouble = _trouble(error)
        if trouble is None:
            raise
        raise StoreUnavailable(f"the store {trouble}") from error


def _trouble(error: Exception) -> str | None:
    words = set(re.findall(r"[A-Z]+", str(error)))
    for word, meaning in TROUBLES.items():
        if word in words or type(error).__name__ in _SAME_AS.get(word, ()):
            return meaning
    is_connection = isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError)
    return f"cannot be reached: {error}" if is_connection else None


def connect(url: str, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.Redis:
    """Return a blocking client for redis://, rediss:// or unix://; connects at first use.

    Raises StoreUnavailable when the URL is none of these.
    """
    retry = Retry(ExponentialBackoff(cap=0.2, base=0.02), _RETRIES)
    with _url_errors():
        return redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=min(timeout_s, CONNECT_TIMEOUT_S),
            retry=retry,
            retry_on_error=_RECONNECT_ON,
        )


def connect_async(url: str, *, retries: int = _RETRIES) -> redis.asyncio.Redis:
    """Return an asyncio client for redis://, rediss:// or unix://; connects at first use.

    Raises StoreUnavailable when the URL is none of these.
    """
    retry = AsyncRetry(ExponentialBackoff(cap=0.2, base=0.02), retries)
    options: dict[str, Any] = {"socket_timeout": SOCKET_TIMEOUT_S, "retry_on_error": _RECONNECT_ON}
    with _url_errors():
        return redis.asyncio.Redis.from_url(
            url, socket_connect_timeout=CONNECT_TIMEOUT_S, retry=retry, **options
        )


def connect_shared(url: str) -> SharedClient:
    """Return an asyncio client whose callers share one connection; otherwise like the others."""
    retry = AsyncRetry(ExponentialBackoff(cap=0.2, base=0.02), 0)
    with _url_errors():
        pool = redis.asyncio.ConnectionPool.from_url(
            url, socket_connect_timeout=CONNECT_TIMEOUT_S, socket_timeout=None, retry=retry
        )
    return SharedClient(connection_pool=pool)


@contextmanager
def _url_errors() -> Iterator[None]:
    try:
        yield
    except ValueError as error:  # its message may repeat the URL, and with it the password
        raise StoreUnavailable(
            "the store URL must look like redis://HOST:PORT/DB, rediss://… or unix:///PATH"
        ) from error


def ping(url: str, timeout_s: float = 1.0) -> None:
    """Return when the store answers within `timeout_s`; raises StoreUnavailable."""
    with store_errors(), connect(url, timeout_s) as client:
        client.ping()


def check_store(url: str) -> None:
    """Raise StoreUnavailable when the store does not answer, StoreForgets when it may evict jobs.

    A server that forbids reading its configuration is taken at its word.
    """
    ping(url, SOCKET_TIMEOUT_S)
    with connect(url) as client:
        config = _config(client)
    policy = config.get("maxmemory-policy", "noeviction")
    if int(config.get("maxmemory", 0)) > 0 and policy != "noeviction":
        raise StoreForgets(
            f"the store may evict accepted jobs: set maxmemory-policy to noeviction, not {policy}"
        )


def _config(client: redis.Redis) -> dict[str, str]:
    try:
        with store_errors():
            found: Any = client.config_get("maxmemory*")
    except (redis.ResponseError, StoreUnavailable):
        return {}
    return {_text(name): _text(value) for name, value in found.items()}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def unix_ms(moment: tuple[int, int]) -> int:
    """Return a reply to TIME, seconds and microseconds, in milliseconds."""
    seconds, micros = moment
    return int(seconds) * 1000 + int(micros) // 1000
