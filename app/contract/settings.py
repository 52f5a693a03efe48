"""How the queue behaves; gateway and workers of one service should share the same settings."""

from __future__ import annotations

from dataclasses import dataclass, fields

# Whoever lost the store tries again after this.
RECONNECT_S = 0.2


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """Limits and lifetimes of everything the queue keeps.

    `prefix` separates services that share a store. A lease must outlast the longest pause between
    two reports of a worker. `max_jobs` caps the queued jobs of all models together. A queued job
    nobody took within `unclaimed_ttl_s` after its deadline gives way when the queue is full. Raises
    ValueError for a limit below one or a prefix with braces.
    """

    prefix: str = "blockcache"
    lease_ms: int = 10_000
    max_attempts: int = 3
    max_jobs: int = 1000
    result_ttl_s: int = 600
    card_ttl_s: int = 5
    book_ttl_s: int = 3600
    dead_ttl_s: int = 7 * 24 * 3600
    unclaimed_ttl_s: int = 600

    def __post_init__(self) -> None:
        if not self.prefix or set(self.prefix) & set("{}"):
            raise ValueError(f"prefix must be a word without braces, not {self.prefix!r}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "prefix" and value < 1:
                raise ValueError(f"{field.name} must be at least 1, not {value}")
