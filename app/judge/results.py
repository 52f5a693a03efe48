"""What the votes on a picture set add up to."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from app.judge.shares import Cluster, Share, share_of
from app.judge.votes import Choice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from app.contract.picture_sets import PictureSet
    from app.judge.votes import Vote

WORDS = {Choice.FIRST: "win", Choice.TIE: "tie", Choice.SECOND: "lose"}
"""What a choice means for the first method of a comparison."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How the first method did against the second: shares by `Choice`, none without votes.

    `left_share` is how often the left picture was chosen where one was: far from a half, annotators
    did not look.
    """

    first: str
    second: str
    first_ms: float
    second_ms: float
    votes: int
    annotators: int
    shares: dict[Choice, Share]
    left_share: float | None


def tallies(pictures: PictureSet, votes: Sequence[Vote]) -> list[Tally]:
    """Return one tally a comparison, in the set's order."""
    return [
        _tally(pictures, number, [vote for vote in votes if vote.pair.comparison == number])
        for number in range(len(pictures.comparisons))
    ]


def _tally(pictures: PictureSet, number: int, votes: Sequence[Vote]) -> Tally:
    shown = pictures.comparisons[number]
    first, second = pictures.methods[shown.first], pictures.methods[shown.second]
    shares = {c: share_of(_by_prompt(pictures, votes, c)) for c in WORDS} if votes else {}
    return Tally(
        first=first.name,
        second=second.name,
        first_ms=first.median_ms,
        second_ms=second.median_ms,
        votes=len(votes),
        annotators=len({vote.annotator for vote in votes}),
        shares=shares,
        left_share=_left_share(votes),
    )


def _by_prompt(pictures: PictureSet, votes: Iterable[Vote], choice: Choice) -> list[Cluster]:
    total, hits = Counter[str](), Counter[str]()
    for vote in votes:
        prompt = pictures.requests[vote.pair.request].prompt
        total[prompt] += 1
        hits[prompt] += vote.choice is choice
    return [Cluster(hits[prompt], count) for prompt, count in total.items()]


def _left_share(votes: Iterable[Vote]) -> float | None:
    decided = [vote for vote in votes if vote.choice is not Choice.TIE]
    left = sum((vote.choice is Choice.FIRST) == vote.first_is_left for vote in decided)
    return left / len(decided) if decided else None


def tallies_csv(found: Iterable[Tally]) -> str:
    """Return the tallies as CSV with one line a comparison."""
    bounds = [f"{word}{end}" for word in WORDS.values() for end in ("", "_low", "_high")]
    heading = ["first", "second", "first_ms", "second_ms", "votes", "annotators", *bounds, "left"]
    return _csv(heading, (_tally_row(tally) for tally in found))


def _tally_row(tally: Tally) -> list[object]:
    named = [tally.first, tally.second, tally.first_ms, tally.second_ms]
    shares = (tally.shares.get(choice) for choice in WORDS)
    bounds = [bound for one in shares for bound in _bounds(one)]
    return [*named, tally.votes, tally.annotators, *bounds, tally.left_share]


def _bounds(share: Share | None) -> tuple[float | None, ...]:
    return (None,) * 3 if share is None else (share.value, share.low, share.high)


def votes_csv(pictures: PictureSet, votes: Iterable[Vote]) -> str:
    """Return every vote as CSV, for statistics of your own."""
    heading = ["annotator", "first", "second", "prompt", "seed", "first_is_left", "result"]
    return _csv([*heading, "voted_unix_s"], (_vote_row(pictures, vote) for vote in votes))


def _vote_row(pictures: PictureSet, vote: Vote) -> list[object]:
    shown = pictures.comparisons[vote.pair.comparison]
    names = [pictures.methods[number].name for number in (shown.first, shown.second)]
    request = pictures.requests[vote.pair.request]
    said = [int(vote.first_is_left), WORDS[vote.choice], vote.voted_unix_s]
    return [vote.annotator, *names, request.prompt, request.seed, *said]


def _csv(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    # A spreadsheet takes what begins so for a formula, and prompts may begin with anything.
    is_formula = isinstance(value, str) and value[:1] in tuple("=+-@\t\r")
    return f"'{value}" if is_formula else value
