"""Intervals around shares of votes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from app.judge.shares import Cluster, share_of

votes = st.lists(st.booleans(), min_size=1, max_size=200)
clusters = st.lists(
    st.integers(1, 20).flatmap(lambda n: st.builds(Cluster, st.integers(0, n), st.just(n))),
    min_size=1,
    max_size=30,
)


@given(votes.filter(lambda said: 0 < sum(said) < len(said)))
def test_votes_on_prompts_of_their_own_have_the_interval_of_wilson(said: list[bool]) -> None:
    found = share_of([Cluster(int(one), 1) for one in said])
    exact = binomtest(sum(said), len(said)).proportion_ci(method="wilson")

    assert found.value == sum(said) / len(said)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


@given(clusters)
def test_an_interval_holds_its_share_and_lies_between_nothing_and_everything(
    found: list[Cluster],
) -> None:
    share = share_of(found)

    assert 0 <= share.low <= share.value <= share.high <= 1
    assert share.low < share.high


@given(votes, st.integers(2, 12))
def test_more_judges_who_say_the_same_of_each_prompt_prove_nothing_more(
    said: list[bool], judges: int
) -> None:
    one = share_of([Cluster(int(hit), 1) for hit in said])
    many = share_of([Cluster(judges * hit, judges) for hit in said])

    assert many.high - many.low >= one.high - one.low - 1e-12


@given(clusters)
def test_shares_of_a_thing_and_its_contrary_mirror_each_other(found: list[Cluster]) -> None:
    share = share_of(found)
    contrary = share_of([Cluster(c.votes - c.hits, c.votes) for c in found])

    assert contrary.value == pytest.approx(1 - share.value)
    assert (contrary.low, contrary.high) == pytest.approx((1 - share.high, 1 - share.low))


def test_more_prompts_make_an_interval_narrower() -> None:
    few, many = (share_of([Cluster(1, 2), Cluster(2, 2)] * n) for n in (10, 40))

    assert many.high - many.low < 0.6 * (few.high - few.low)


def test_a_share_needs_votes() -> None:
    with pytest.raises(ValueError, match="needs votes"):
        share_of([])
