from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from workers.demo import sampling
from workers.demo.captions import canonical
from workers.demo.dataset import Dataset, Entry
from workers.demo.measuring import Extent, Measurement, measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from workers.pipeline import Model

EMOJI, STYLES = 12, ("3d", "noto", "flat")
FEW = Extent(known=6, unseen=3, shown=3)
FRAMES = ((220, 40, 40), (40, 180, 40), (40, 40, 220))


def picture(emoji: int, style: int) -> NDArray[np.uint8]:
    """Return a pattern that says which emoji it is, in a frame that says which style."""
    pattern = np.random.default_rng(emoji).integers(0, 2, (6, 6, 1), np.uint8) * 255
    framed = np.full((16, 16, 3), FRAMES[style], np.uint8)
    framed[2:14, 2:14] = pattern.repeat(2, 0).repeat(2, 1)
    return framed


def dataset() -> Dataset:
    """Return every emoji in three styles; of each fourth one a style is held out."""
    kinds = [(emoji, style) for emoji in range(EMOJI) for style in range(3)]
    entries = tuple(
        Entry(f"{emoji:x}", f"thing {emoji}", "Objects", (), STYLES[style], held_out=out)
        for emoji, style in kinds
        for out in (emoji % 4 == 0 and style == emoji // 4,)
    )
    return Dataset(np.stack([picture(*kind) for kind in kinds]), entries)


@pytest.fixture(scope="module")
def told() -> list[tuple[str, int, int]]:
    """Return what is said of the progress of measuring the untrained model."""
    return []


@pytest.fixture(scope="module")
def untrained(models: Callable[[str], Model], told: list[tuple[str, int, int]]) -> Measurement:
    """Return what is measured of a model that has learnt nothing."""
    return measure(models("sd1"), dataset(), lambda *done: told.append(done), FEW)


@pytest.fixture(scope="module")
def copyist(models: Callable[[str], Model]) -> Measurement:
    """Return what is measured of a model that draws exactly the picture it is asked for."""
    data = dataset()
    drawings = dict(zip(map(canonical, data.entries), data.pictures, strict=True))

    def draw(_model: object, captions: Sequence[str], *_: object) -> NDArray[np.uint8]:
        return np.stack([drawings[caption] for caption in captions])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sampling, "generate", draw)
        return measure(models("sd1"), data, lambda *_: None, FEW)


def test_as_much_is_measured_as_was_asked_for(untrained: Measurement) -> None:
    figures = untrained.figures

    assert (figures.side, figures.training, figures.held_out) == (16, 33, 3)
    assert (figures.retrieval.known.pictures, figures.retrieval.unseen.pictures) == (6, 3)
    assert (figures.memory.known.pictures, figures.memory.real.pictures) == (6, 3)


def test_figures_are_plain_data(untrained: Measurement) -> None:
    plain = untrained.figures.to_dict()

    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_what_is_drawn_perfectly_is_found(copyist: Measurement) -> None:
    found = copyist.figures.retrieval

    assert (found.known.top1, found.known.style, found.unseen.top1) == (1, 1, 1)
    assert copyist.figures.frechet.known == pytest.approx(0, abs=1e-6)
    assert copyist.figures.frechet.unseen == pytest.approx(0, abs=1e-6)


def test_who_copies_is_found_out(copyist: Measurement) -> None:
    memory = copyist.figures.memory

    assert (memory.named, memory.known.near_copies) == (1, 1)
    assert memory.known.high < 1e-4 < memory.others.low


def test_who_has_learnt_nothing_draws_nothing_known(untrained: Measurement) -> None:
    figures = untrained.figures

    assert figures.retrieval.known.top1 < 0.7
    assert figures.frechet.known > figures.frechet.real
    assert figures.memory.known.low > 0.1


def test_the_nearest_pairs_come_first(copyist: Measurement) -> None:
    first = copyist.sheets["nearest"][:16, :32]

    assert np.array_equal(first[:, :16], first[:, 16:])


def test_there_is_a_sheet_for_every_question(untrained: Measurement) -> None:
    assert set(untrained.sheets) == {"grid", "known", "unseen", "nearest"}


@pytest.mark.usefixtures("untrained")
def test_progress_reaches_the_end_of_every_stage(told: list[tuple[str, int, int]]) -> None:
    last = {stage: (done, total) for stage, done, total in told}

    assert {"grid", "memory", "classifier"} < last.keys()
    assert all(done == total for done, total in last.values())
