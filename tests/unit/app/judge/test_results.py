"""What votes add up to."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import StringIO

import pytest

from app.contract.picture_sets import Comparison, Pair, Request
from app.judge.results import tallies, tallies_csv, votes_csv
from app.judge.votes import Choice, Vote
from tests.picture_sets import a_set

SAID = {"first": 6, "tie": 3, "second": 1}
VOTES = [
    Vote("alice", Pair(0, n), n % 2 == 0, Choice(choice), 1_700_000_000)
    for n, choice in enumerate(choice for choice, count in SAID.items() for _ in range(count))
]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text)))


def test_shares_are_those_of_the_first_method() -> None:
    (tally,) = tallies(a_set(), VOTES)

    assert [tally.shares[Choice(c)].value for c in SAID] == [0.6, 0.3, 0.1]
    assert (tally.first, tally.second, tally.votes, tally.annotators) == (
        "cached", "uncached", 10, 1,
    )  # fmt: skip


def test_votes_count_for_their_comparison_only() -> None:
    both = replace(a_set(), comparisons=(Comparison(0, 1), Comparison(1, 0)))
    told, silent = tallies(both, VOTES)

    assert (told.votes, silent.votes) == (10, 0)
    assert silent.shares == {}
    assert rows(tallies_csv([silent]))[0]["win"] == ""


def test_votes_of_many_on_one_prompt_are_worth_less_than_on_many() -> None:
    (apart,) = tallies(a_set(10, prompts=10), VOTES)
    (together,) = tallies(a_set(10, prompts=2), VOTES)
    wide, narrow = (one.shares[Choice.TIE] for one in (together, apart))

    assert wide.value == narrow.value
    assert wide.high - wide.low >= narrow.high - narrow.low


def test_who_always_takes_the_left_picture_is_seen() -> None:
    left = [
        replace(vote, choice=Choice.FIRST if vote.first_is_left else Choice.SECOND)
        for vote in VOTES
    ]

    assert tallies(a_set(), left)[0].left_share == 1
    assert tallies(a_set(), VOTES)[0].left_share == pytest.approx(4 / 7)


def test_the_table_has_shares_and_bounds_as_csv() -> None:
    (row,) = rows(tallies_csv(tallies(a_set(), VOTES)))

    assert float(row["win_low"]) < float(row["win"]) == 0.6 < float(row["win_high"])
    assert (row["first"], row["second"], row["votes"]) == ("cached", "uncached", "10")


def test_every_vote_can_be_had_as_csv() -> None:
    found = rows(votes_csv(a_set(), VOTES))

    assert [row["result"] for row in found] == ["win"] * 6 + ["tie"] * 3 + ["lose"]
    assert found[3]["prompt"] == "thing 3"
    assert found[3]["first_is_left"] == "0"


def test_a_prompt_is_no_formula_in_a_spreadsheet() -> None:
    pictures = replace(a_set(1), requests=(Request("=HYPERLINK(1)", 1),))

    assert rows(votes_csv(pictures, VOTES[:1]))[0]["prompt"] == "'=HYPERLINK(1)"
