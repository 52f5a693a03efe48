from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from tests.tiny_demo import TINY
from workers.demo.diffusion import Material
from workers.demo.learning import learn
from workers.demo.networks import tokenizer
from workers.demo.presets import Course
from workers.demo.recalling import lesson, recall_loss

if TYPE_CHECKING:
    from pathlib import Path

    from workers.demo.learning import Lesson

CAPTIONS = ("red apple", "blue whale")
CPU = torch.device("cpu")


@pytest.fixture
def studies(tmp_path: Path) -> Lesson:
    words = tokenizer(CAPTIONS, TINY.vocabulary, TINY.tokens)
    tokens = words([*CAPTIONS, ""], padding="max_length", return_tensors="pt").input_ids
    mean = torch.stack([torch.full((4, 4, 4), value) for value in (-1.0, 1.0)])
    material = Material(mean, torch.zeros_like(mean), tokens[:2, None], tokens[2])
    preset = replace(TINY, text=Course(60, 16, 2e-2, 5, 0.5))
    return lesson(preset, material, words, tmp_path / "text.safetensors", CPU)


def test_a_caption_recalls_its_picture(studies: Lesson) -> None:
    latents, tokens = studies.draw(torch.Generator().manual_seed(0))

    taught = learn(studies, lambda _learner, _loss: None)

    # The few captions without words cannot tell one picture from the other.
    with torch.no_grad():
        assert float(recall_loss(taught, latents, tokens)) < 0.3


def test_other_words_recall_another_picture(studies: Lesson) -> None:
    latents, tokens = studies.draw(torch.Generator().manual_seed(0))

    taught = learn(studies, lambda _learner, _loss: None)

    with torch.no_grad():
        assert float(recall_loss(taught, -latents, tokens)) > 2.0
