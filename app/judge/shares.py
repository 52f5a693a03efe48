"""Shares of votes and the intervals around them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Z_95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, slots=True)
class Share:
    """A share of votes and its 95 % confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """Votes that may resemble one another, and how many of them say what is counted."""

    hits: int
    votes: int


def share_of(clusters: Sequence[Cluster]) -> Share:
    """Return the share of hits among all votes; raises ValueError when there are none.

    Votes on one prompt are no independent votes: the interval is Wilson's, for as many independent
    votes as these are worth (Korn and Graubard, Survey Methodology 24, 1998).
    """
    votes, hits = sum(c.votes for c in clusters), sum(c.hits for c in clusters)
    if not votes:
        raise ValueError("a share needs votes")
    share = hits / votes
    return Share(share, *wilson(share, votes / design_effect(clusters)))


def wilson(share: float, votes: float, z: float = Z_95) -> tuple[float, float]:
    """Return Wilson's score interval (Journal of the American Statistical Association 22, 1927)."""
    shrunk = 1 + z * z / votes
    centre = (share + z * z / (2 * votes)) / shrunk
    spread = z / shrunk * math.sqrt(share * (1 - share) / votes + (z / (2 * votes)) ** 2)
    # At shares of 0 and 1 rounding must not leave the share itself outside.
    return max(0.0, min(centre - spread, share)), min(1.0, max(centre + spread, share))


def design_effect(clusters: Sequence[Cluster]) -> float:
    """Return how many of these votes are worth one independent vote: 1 to the number of votes.

    The variance of the share by the spread between clusters (linearised, for a ratio of sums), over
    that of independent votes. Where all say the same nothing can be seen of it: each cluster then
    counts once.
    """
    filled = [c for c in clusters if c.votes]
    votes, hits = sum(c.votes for c in filled), sum(c.hits for c in filled)
    if len(filled) < 2 or hits in (0, votes):
        return votes / len(filled)
    share, count = hits / votes, len(filled)
    between = sum((c.hits - share * c.votes) ** 2 for c in filled) * count / (count - 1)
    independent = votes * votes * share * (1 - share) / (votes - 1)
    return min(max(between / independent, 1.0), float(votes))
