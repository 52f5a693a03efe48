"""How often a key may ask: what is counted, and what its caller is told (the RateLimit draft)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.contract.ports import Quota
    from app.keys import ApiKey

WINDOW_S = 60
POLICY = "requests"
# What makes, plans or changes something. Reading how a job goes costs nothing.
COUNTED = frozenset({"POST", "PUT", "PATCH"})


def headers(key: ApiKey, quota: Quota) -> dict[str, str]:
    """Return RateLimit-Policy and RateLimit: the limit, what is left, when there is room again."""
    limit = f'"{POLICY}";q={key.requests_per_minute};w={WINDOW_S}'
    left = f'"{POLICY}";r={quota.remaining};t={wait_s(quota)}'
    return {"RateLimit-Policy": limit, "RateLimit": left}


def wait_s(quota: Quota) -> int:
    """Whole seconds, at least one, until there is room for another request."""
    return max(1, math.ceil(quota.reset_ms / 1000))
