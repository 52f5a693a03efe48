"""What a worker loop is told."""

from __future__ import annotations

from dataclasses import dataclass

STALL_FACTOR = 5


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How patient a worker is, in seconds, and what it may do beyond what was promised.

    `upgrade`: whether it may do better; `pausing`: whether a batch stands back between two steps
    for one with an earlier deadline.

    One that idles for `probe_s` makes a picture for itself, to know how fast it is by now; as long
    as it goes on idling every pause before the next is twice as long, up to `probe_most_s`.
    """

    claim_wait_s: float = 1.0
    heartbeat_s: float = 1.0
    drain_s: float = 30.0
    stall_s: float = 60.0
    store_retry_s: float = 0.5
    upgrade: bool = True
    pausing: bool = True
    probe_s: float = 1.0
    probe_most_s: float = 300.0

    def stall_for_s(self, expected_ms: float) -> float:
        """Return how long a batch may go without finishing a step: many times what it takes."""
        return max(self.stall_s, STALL_FACTOR * expected_ms / 1e3)
