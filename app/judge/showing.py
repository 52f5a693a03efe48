"""What `blockcache judge results` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from app.judge.results import WORDS
from app.terminal import console

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.judge.results import Tally
    from app.judge.shares import Share

COLUMNS = ("first\nagainst", "ms", "votes", "by", "win %", "tie %", "lose %", "left %")
CAPTION = (
    "win: the first was chosen. In brackets 95 % confidence intervals, which allow for several "
    "votes on one prompt. left: how often the left picture was chosen where one was."
)


def show_tallies(found: Iterable[Tally]) -> None:
    """Print a table with one line a comparison."""
    table = Table(*COLUMNS, caption=CAPTION)
    for tally in found:
        table.add_row(*_row(tally))
    console().print(table)


def _row(tally: Tally) -> list[str]:
    # One below the other, so that long names are not cut.
    names = f"{tally.first}\n{tally.second}"
    times = f"{tally.first_ms:.0f}\n{tally.second_ms:.0f}"
    shares = (_percent(tally.shares.get(choice)) for choice in WORDS)
    left = "–" if tally.left_share is None else f"{100 * tally.left_share:.0f}"
    return [names, times, f"{tally.votes}", f"{tally.annotators}", *shares, left]


def _percent(share: Share | None) -> str:
    if share is None:
        return "–"
    return f"{100 * share.value:.1f} ({100 * share.low:.0f}–{100 * share.high:.0f})"
