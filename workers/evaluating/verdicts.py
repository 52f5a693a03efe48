"""Whether an evaluation keeps what block caching here is held to: bars, and what was found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from workers.evaluating.tables import grid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

WORDS = {True: "yes", False: "no", None: "cannot be told"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One bar: what it is about, what was asked and found, and whether that is enough.

    `kept` is None where it could not be told. `figures` are the numbers behind `found`.
    """

    about: str
    asked: str
    found: str
    kept: bool | None
    figures: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def markdown(verdicts: Iterable[Verdict]) -> str:
    """Return a table of verdicts."""
    lines = [[v.about, v.asked, v.found, WORDS[v.kept]] for v in verdicts]
    return grid(("about", "asked", "found", "kept"), lines)


def summary(verdicts: Sequence[Verdict]) -> str:
    """Count in one sentence."""
    counts = {word: sum(v.kept is kept for v in verdicts) for kept, word in WORDS.items()}
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    return f"{len(verdicts)} bars: {told}"
