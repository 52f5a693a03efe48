from __future__ import annotations

import string
from typing import TYPE_CHECKING

import pytest
from transformers import CLIPTokenizer

from tests.tiny_demo import TINY
from workers.demo.networks import autoencoder, text_encoder, tokenizer, unet
from workers.units import find_units

if TYPE_CHECKING:
    from pathlib import Path

CAPTIONS = ["a red apple, 3d style", "green car, flat", "smiling face with heart-eyes"] * 4


@pytest.fixture
def words() -> CLIPTokenizer:
    return tokenizer(CAPTIONS, 600, 24)


@pytest.mark.parametrize("text", [*string.printable.split(), "Ünïcöde", "日本", "🍎"])
def test_no_text_is_unknown(words: CLIPTokenizer, text: str) -> None:
    pieces = words(text).input_ids[1:-1]

    assert pieces
    assert words.eos_token_id not in pieces


def test_a_word_of_the_captions_is_one_piece(words: CLIPTokenizer) -> None:
    assert len(words("apple", add_special_tokens=False).input_ids) == 1


def test_a_saved_tokenizer_reads_alike(words: CLIPTokenizer, tmp_path: Path) -> None:
    words.save_pretrained(tmp_path)

    again = CLIPTokenizer.from_pretrained(tmp_path)

    assert again("a red apple ü").input_ids == words("a red apple ü").input_ids
    assert again.model_max_length == 24


def test_the_parts_fit_together(words: CLIPTokenizer) -> None:
    text = text_encoder(TINY, words)

    assert text.config.hidden_size == unet(TINY).config.cross_attention_dim
    assert unet(TINY).config.in_channels == autoencoder(TINY).config.latent_channels
    assert text.config.vocab_size == len(words)


def test_there_is_a_transformer_at_every_level() -> None:
    names = [unit.name for unit in find_units(unet(TINY)).graph.units]

    assert {"down.0.attn.0", "down.1.attn.0", "mid.attn.0", "up.0.attn.0"} <= set(names)
