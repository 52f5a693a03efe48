"""What a caller's headers say: wanted media type, wish for an early answer, patience."""

from __future__ import annotations

import math
from functools import lru_cache

JSON = "application/json"
LONGEST_WAIT_S = 600.0


@lru_cache(maxsize=64)
def choose_type(accept: str, offers: tuple[str, ...]) -> str | None:
    """Return the offered media type an Accept header likes best, None if it allows none.

    Without the header anything is allowed; between equals the earlier offer wins.
    """
    if not accept.strip():
        return offers[0]
    ranges = [_range(part) for part in accept.split(",")]
    weights = {offer: _weight(offer, ranges) for offer in offers}
    best = max(offers, key=lambda offer: weights[offer])
    return best if weights[best] > 0 else None


def wants_async(prefer: str) -> bool:
    """Whether a Prefer header (RFC 7240) asks for an answer before the work is done."""
    wishes = (part.split(";")[0].strip().lower() for part in prefer.split(","))
    return bool(prefer) and "respond-async" in wishes


def wait_s(prefer: str) -> float:
    """Return how many seconds a Prefer header (RFC 7240) would wait; 0 when it does not say so."""
    wishes = (part.split(";")[0].partition("=") for part in prefer.split(","))
    waits = (
        value.strip().strip('"') for name, _, value in wishes if name.strip().lower() == "wait"
    )
    text = next(waits, "")
    return min(float(text), LONGEST_WAIT_S) if text.isascii() and text.isdecimal() else 0.0


def patience_ms(read_timeout_s: str) -> float | None:
    """Return nine tenths of a client's read timeout, None when it states none that makes sense."""
    try:
        seconds = float(read_timeout_s)
    except ValueError:
        return None
    return seconds * 900 if math.isfinite(seconds) and seconds > 0 else None


def _range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    try:
        return name, min(max(float(weight), 0.0), 1.0)
    except ValueError:
        return name, 0.0


def _weight(offer: str, ranges: list[tuple[str, float]]) -> float:
    # The most specific range decides, whatever its weight (RFC 9110, 12.5.1).
    for candidate in (offer, f"{offer.partition('/')[0]}/*", "*/*"):
        weights = [weight for name, weight in ranges if name == candidate]
        if weights:
            return max(weights)
    return 0.0
