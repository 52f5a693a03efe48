from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.tiny_models import TINY, save_tiny
from workers.demo.card import write_card
from workers.demo.figures import (
    Figures,
    Found,
    Frechet,
    Memory,
    Nearness,
    Reconstruction,
    Retrieval,
)
from workers.demo.sources import FLUENT, FONT_PACKAGE, GROUPS, TWEMOJI, WORDS

if TYPE_CHECKING:
    from pathlib import Path

FOUND = Found(pictures=200, among=100, top1=0.61, top5=0.87, style=0.93)
NEAR = Nearness(pictures=200, low=0.1, middle=0.34, high=0.6, near_copies=0.42)
FIGURES = Figures(
    side=64,
    training=3791,
    held_out=127,
    reconstruction=Reconstruction(29.3, 28.6),
    retrieval=Retrieval(FOUND, replace(FOUND, top1=0.97), replace(FOUND, pictures=127), FOUND),
    frechet=Frechet(210.4, 33.3, 250.1, 99.9, 64),
    memory=Memory(0.25, 0.58, NEAR, replace(NEAR, near_copies=0.11), NEAR, NEAR),
)
FACTS = {"diffusion": "10,000 steps of 64", "time": "5 hours on 2 cores"}


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = save_tiny("sd2", tmp_path_factory.mktemp("models"))
    write_card(FIGURES, FACTS, folder)
    return (folder / "README.md").read_text()


def rows(card: str) -> dict[str, list[str]]:
    """Return the cells of all table rows by their first cell."""
    cells = [line.strip("| ").split(" | ") for line in card.splitlines() if line.startswith("|")]
    return {first: rest for first, *rest in cells}


def test_nothing_is_left_to_fill_in(card: str) -> None:
    assert "$" not in card
    assert card.startswith("# sd2\n")


def test_parts_are_those_of_the_model(card: str) -> None:
    parts = rows(card)

    assert "blocks 32-64, 2 per level, a transformer at some levels" in parts["UNet"][0]
    assert "16×16 pixels to 8×8 latents of 4 channels" in parts["autoencoder"][0]
    assert "24 tokens, vocabulary of 4,096 pieces" in parts["text encoder"][0]
    assert "zero terminal SNR, v_prediction, trailing" in parts["noise"][0]


def test_parameters_are_counted(card: str) -> None:
    expected = sum(parameter.numel() for parameter in TINY["sd2"]().unet.parameters())

    assert rows(card)["UNet"][1] == f"{expected / 1e6:.1f} M"
    assert rows(card)["noise"][1] == "—"


def test_training_is_told_as_it_was_given(card: str) -> None:
    assert rows(card)["time"] == ["5 hours on 2 cores"]
    assert "| diffusion | 10,000 steps of 64 |" in card


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("generated from captions of 200 training pictures", "61% 87% 93% 210 0.34 42%"),
        ("those training pictures through the autoencoder", "97% 87% 93% 33 — —"),
        ("generated from 127 held-out captions", "61% 87% 93% 250 0.34 11%"),
        ("those held-out pictures", "61% 87% 93% 100 0.34 42%"),
        ("those training pictures, to another", "— — — — 0.34 42%"),
    ],
)
def test_every_figure_is_in_its_row(card: str, name: str, cells: str) -> None:
    assert " ".join(rows(card)[name]) == cells


def test_the_autoencoder_is_judged(card: str) -> None:
    assert "29.3 dB" in card
    assert "28.6 dB" in card


def test_copying_is_owned_up_to(card: str) -> None:
    limits = card.partition("## What it can and cannot do")[2]

    assert "42% are near copies" in limits.replace("\n  ", " ")
    assert "58% the nearest training picture" in limits.replace("\n  ", " ")


def test_the_way_to_use_it_is_a_program(card: str) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)

    compile(program, "README.md", "exec")
    assert "num_inference_steps=20, guidance_scale=3)" in program


@pytest.mark.parametrize(
    "source", [FLUENT.name, TWEMOJI.name, GROUPS.name, WORDS.name, FONT_PACKAGE]
)
def test_every_source_is_named_with_its_licence(source: str, tmp_path: Path) -> None:
    folder = save_tiny("sd1", tmp_path)
    write_card(FIGURES, FACTS, folder)

    for name in ("README.md", "LICENSES.md"):
        line = next(line for line in (folder / name).read_text().splitlines() if source in line)
        assert re.search(r"MIT|CC-BY 4\.0|OFL 1\.1|Open Font License 1\.1", line)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=re.escape("config.json")):
        write_card(FIGURES, FACTS, tmp_path)
