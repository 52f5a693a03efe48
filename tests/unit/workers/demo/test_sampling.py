from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from tests.tiny_demo import pictures
from workers.demo.dataset import Entry
from workers.demo.generating import generate
from workers.demo.sampling import drawn, sample

if TYPE_CHECKING:
    from workers.pipeline import Model


def entries(emoji: int, *styles: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(f"{i:x}", f"thing {i}", "Objects", (), style, held_out=False)
        for i in range(emoji)
        for style in styles
    )


def test_styles_are_drawn_evenly() -> None:
    known = entries(40, "3d", "noto", "flat")

    assert set(Counter(known[i].style for i in drawn(known, 30)).values()) == {10}


def test_no_emoji_is_drawn_twice() -> None:
    known = entries(40, "3d", "noto", "flat")

    assert len({known[i].key for i in drawn(known, 40)}) == 40


def test_the_draw_is_always_the_same_and_not_the_first_ones() -> None:
    known = entries(40, "3d", "noto", "flat")

    assert drawn(known, 12).tolist() == drawn(known, 12).tolist()
    assert max(drawn(known, 12)) > 30


def test_a_style_that_runs_out_misses_its_turn() -> None:
    known = (*entries(9, "3d"), *entries(2, "flat"))
    counts = Counter(known[i].style for i in drawn(known, 8))

    assert counts == {"3d": 4, "flat": 2}


def test_a_sample_holds_what_its_captions_are_of(tiny: Model) -> None:
    data = pictures()
    found = sample(tiny, data, 2, "known", lambda *_: None)
    captions = [f"{entry.name}, {entry.style}" for entry in found.entries]

    assert np.array_equal(found.pictures.real, data.pictures[found.positions])
    assert found.entries == tuple(data.entries[i] for i in found.positions)
    assert np.array_equal(
        found.pictures.generated, generate(tiny, captions, [0, 1], lambda *_: None)
    )
    assert found.pictures.reconstructed.shape == found.pictures.real.shape


def test_both_stages_are_told_of(tiny: Model) -> None:
    told: list[tuple[str, int, int]] = []
    sample(tiny, pictures(), 2, "known", lambda *done: told.append(done))

    assert told == [("known: reconstruct", 2, 2), ("known: generate", 2, 2)]
