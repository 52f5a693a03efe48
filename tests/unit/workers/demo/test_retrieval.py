from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workers.demo.dataset import Entry
from workers.demo.retrieval import Classifier, Discriminant

EMOJI, STYLES, DIMENSIONS = 150, ("3d", "noto", "flat"), 40


def entries() -> tuple[Entry, ...]:
    return tuple(
        Entry(f"{i:x}", f"thing {i}", "Objects", (), style, held_out=False)
        for i in range(EMOJI)
        for style in STYLES
    )


def features(noise: float = 0.1, seed: int = 2) -> np.ndarray:
    """Return what a good network says of every entry: its emoji, its style and a little more."""
    rng = np.random.default_rng(1)
    emoji, styles = rng.normal(size=(EMOJI, 1, DIMENSIONS)), rng.normal(size=(3, DIMENSIONS))
    clean = (emoji + 3 * styles).reshape(-1, DIMENSIONS)
    return clean + np.random.default_rng(seed).normal(0, noise, clean.shape)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.learnt(features(), entries())


def test_pictures_like_those_it_learnt_from_are_found(classifier: Classifier) -> None:
    found = classifier.judge(features(seed=3), entries())

    assert (found.pictures, found.among) == (EMOJI * 3, 100)
    assert found.top1 > 0.99
    assert found.style > 0.99


def test_pictures_of_something_else_are_found_by_chance(classifier: Classifier) -> None:
    shuffled = np.random.default_rng(4).permutation(len(entries()))
    found = classifier.judge(features()[shuffled], entries())

    assert found.top1 < 0.04
    assert 0.01 < found.top5 < 0.12
    assert 0.2 < found.style < 0.45


def test_blurred_pictures_are_found_less_often(classifier: Classifier) -> None:
    sharp, soft = (classifier.judge(features(noise, 3), entries()) for noise in (0.1, 2.0))

    assert sharp.top1 > soft.top5 > soft.top1 > 0.01


def test_a_style_it_has_not_seen_an_emoji_in_is_no_obstacle() -> None:
    unseen = np.arange(EMOJI * 3) % 9 == 0
    seen = [entry for entry, out in zip(entries(), unseen, strict=True) if not out]
    found = Classifier.learnt(features()[~unseen], seen).judge(
        features()[unseen], [entry for entry, out in zip(entries(), unseen, strict=True) if out]
    )

    assert found.top1 > 0.9


def test_few_emoji_are_all_rivals() -> None:
    few = entries()[:9]

    assert Classifier.learnt(features()[:9], few).judge(features()[:9], few).among == 3


def test_a_picture_that_could_be_anything_is_not_found(classifier: Classifier) -> None:
    blind = replace(classifier.keys, weights=classifier.keys.weights * 0, offsets=np.zeros(EMOJI))

    assert Classifier(blind, classifier.styles).judge(features(), entries()).top5 == 0


def test_an_unknown_emoji_is_refused(classifier: Classifier) -> None:
    stranger = replace(entries()[0], key="stranger")

    with pytest.raises(KeyError, match="stranger"):
        classifier.judge(features()[:1], [stranger])


def test_features_that_never_differ_within_a_label_can_be_learnt() -> None:
    corners = np.eye(3)
    learnt = Discriminant.learnt(corners, ["a", "b", "c"])

    assert learnt.scores(corners).argmax(1).tolist() == [0, 1, 2]
