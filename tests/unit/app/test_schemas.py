"""Request bodies: what is filled in, and what is refused."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.schemas import MAX_SEED, GenerateRequest

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.just([]),
    st.just({"prompt": "x"}),
)
names = st.sampled_from([*GenerateRequest.model_fields, "steps"])


def test_a_prompt_is_enough() -> None:
    wish = GenerateRequest.model_validate({"prompt": "a cat"})

    assert (wish.num_images, wish.response_format, wish.latency_budget_ms) == (1, "b64_json", None)


def test_a_whole_number_is_a_budget_too() -> None:
    body = {"prompt": "a cat", "latency_budget_ms": 500}

    assert GenerateRequest.model_validate(body).latency_budget_ms == 500.0


@pytest.mark.parametrize("prompt", ["x", "x" * 2000, "猫", "🐈", "two\nlines"])
def test_any_text_of_fitting_length_is_a_prompt(prompt: str) -> None:
    assert GenerateRequest.model_validate({"prompt": prompt}).prompt == prompt


@pytest.mark.parametrize("seed", [0, MAX_SEED])
def test_seeds_reach_from_zero_to_the_largest(seed: int) -> None:
    assert GenerateRequest.model_validate({"prompt": "x", "seed": seed}).seed == seed


@given(body=st.dictionaries(names, anything, max_size=4))
def test_what_gets_through_is_within_its_limits(body: dict[str, Any]) -> None:
    with suppress(ValidationError):
        wish = GenerateRequest.model_validate({"prompt": "a cat", **body})
        assert 1 <= len(wish.prompt) <= 2000
        assert "\0" not in wish.prompt
        assert 1 <= wish.num_images <= 8
        assert 0 <= (wish.seed or 0) <= MAX_SEED - wish.num_images + 1
        assert 0 < (wish.latency_budget_ms or 1) <= 600_000
