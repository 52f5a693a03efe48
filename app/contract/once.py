"""Requests that are accepted once however often they are sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Once:
    """An idempotency key as the queue knows it.

    `name` is unique to the owner and its key, `fingerprint` to what was asked for.
    """

    name: str
    fingerprint: str
