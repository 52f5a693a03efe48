from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from workers.demo import dataset, sources
from workers.demo.captions import Emoji
from workers.demo.dataset import Dataset, Entry, build, held_out_style, illustrate, select
from workers.demo.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

STYLES = ("3d", "noto", "flat")


def record(
    unified: str, name: str, category: str = "Objects", subcategory: str = "tool", order: int = 0
) -> dict[str, Any]:
    return {
        "unified": unified,
        "name": name,
        "category": category,
        "subcategory": subcategory,
        "sort_order": order,
    }


def names(*records: dict[str, Any]) -> list[str]:
    return [emoji.name for emoji in select(records, {})]


def plain(shade: int) -> Callable[[str, int], NDArray[np.uint8]]:
    return lambda _, side: np.full((side, side, 3), shade, np.uint8)


def quiet(stage: str, done: int, total: int) -> None:
    """Hear and forget."""


def small() -> Dataset:
    pictures = np.arange(3 * 2 * 2 * 3, dtype=np.uint8).reshape(3, 2, 2, 3)
    held = (False, True, False)
    entries = (
        Entry(f"1f34{i}", f"thing {i}", "Objects", ("a b", "c"), style, out)
        for i, (style, out) in enumerate(zip(STYLES, held, strict=True))
    )
    return Dataset(pictures, tuple(entries))


@pytest.mark.parametrize(
    ("category", "subcategory"),
    [
        ("Flags", "country-flag"),
        ("Component", "skin-tone"),
        ("Symbols", "keycap"),
        ("Symbols", "arrow"),
        ("Symbols", "alphanum"),
    ],
)
def test_what_cannot_be_drawn_from_words_is_left_out(category: str, subcategory: str) -> None:
    assert names(record("1F34E", "THING", category, subcategory)) == []


@pytest.mark.parametrize(
    "name",
    [
        "man running facing right",
        "two o clock",
        "six thirty",
        "family man boy",
        "family adult, child",
        "couple with heart woman man",
        "black medium small square",
        "small blue diamond",
        "radio button",
    ],
)
def test_near_repetitions_are_left_out(name: str) -> None:
    assert names(record("1F34E", name)) == []


@pytest.mark.parametrize(
    "name", ["family", "couple with heart", "kiss mark", "large blue diamond", "red square"]
)
def test_what_resembles_a_repetition_stays(name: str) -> None:
    assert names(record("1F34E", name)) == [name]


def test_emoji_come_in_their_own_order() -> None:
    assert names(record("1", "second", order=2), record("2", "first", order=1)) == [
        "first",
        "second",
    ]


def test_a_name_occurs_once() -> None:
    assert names(record("1F34E", "man beard"), record("1F34F", "man beard")) == ["man with beard"]


def test_a_person_is_left_out_where_there_are_a_man_and_a_woman() -> None:
    chosen = names(
        record("1", "person running"),
        record("2", "man running"),
        record("3", "woman running"),
        record("4", "person fencing"),
    )

    assert chosen == ["man running", "woman running", "person fencing"]


def test_keyword_lists_are_found_with_and_without_variation_selectors() -> None:
    chosen = select([record("2764-FE0F", "HEAVY BLACK HEART")], {"\u2764\ufe0f": ["red_heart"]})

    assert chosen[0].name == "red heart"


def test_a_few_percent_of_the_pictures_are_held_out() -> None:
    out = [held_out_style(f"{i:x}", STYLES) for i in range(3000)]

    assert 0.02 < sum(style is not None for style in out) / (3 * 3000) < 0.05
    assert set(out) == {None, *STYLES}


def test_the_held_out_style_is_always_the_same() -> None:
    held = [i for i in range(300) if held_out_style(f"{i:x}", STYLES)]

    assert held[:5] == [9, 13, 57, 73, 74]


def test_the_only_style_of_an_emoji_is_never_held_out() -> None:
    assert {held_out_style(f"{i:x}", ("noto",)) for i in range(500)} == {None}


def test_each_style_that_has_an_emoji_gives_a_picture() -> None:
    apple = Emoji("1f34e", "red apple", "Food & Drink", ("fruit",))
    painters: dict[str, dataset.Painter] = {
        "3d": plain(10),
        "noto": lambda *_: None,
        "flat": plain(30),
    }

    drawn = illustrate([apple], painters, 4, quiet)

    assert drawn.pictures.shape == (2, 4, 4, 3)
    assert drawn.pictures[:, 0, 0, 0].tolist() == [10, 30]
    assert [entry.style for entry in drawn.entries] == ["3d", "flat"]
    assert {entry.name for entry in drawn.entries} == {"red apple"}


def test_at_most_one_style_of_an_emoji_is_held_out() -> None:
    emoji = [Emoji(f"{i:x}", f"thing {i}", "Objects", ()) for i in range(60)]

    drawn = illustrate(emoji, {style: plain(9) for style in STYLES}, 2, quiet)
    held = [entry.key for entry in drawn.held_out.entries]

    assert len(held) == len(set(held)) > 0
    assert set(held) <= {entry.key for entry in drawn.training.entries}


def test_drawing_is_heard_of_as_it_goes_on() -> None:
    heard: list[tuple[str, int, int]] = []
    emoji = [Emoji(f"{i}", "thing", "Objects", ()) for i in range(2)]

    illustrate(emoji, {"3d": plain(1)}, 2, lambda *told: heard.append(told))

    assert heard == [("draw", 1, 2), ("draw", 2, 2)]


def test_training_and_held_out_pictures_are_apart_and_complete() -> None:
    whole = small()

    assert [entry.name for entry in whole.training.entries] == ["thing 0", "thing 2"]
    assert np.array_equal(whole.training.pictures, whole.pictures[[0, 2]])
    assert [entry.name for entry in whole.held_out.entries] == ["thing 1"]
    assert np.array_equal(whole.held_out.pictures, whole.pictures[[1]])


def test_a_saved_dataset_comes_back_the_same(tmp_path: Path) -> None:
    small().save(tmp_path / "pictures.safetensors")
    again = Dataset.load(tmp_path / "pictures.safetensors")

    assert again.entries == small().entries
    assert np.array_equal(again.pictures, small().pictures)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures.safetensors"]


def test_a_folder_that_is_not_there_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot write"):
        small().save(tmp_path / "nowhere" / "pictures.safetensors")


def test_a_missing_dataset_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not a dataset"):
        Dataset.load(tmp_path / "pictures.safetensors")


def test_other_tensors_are_not_a_dataset(tmp_path: Path) -> None:
    save_file({"weights": np.zeros(3)}, tmp_path / "other.safetensors")

    with pytest.raises(DatasetError, match="not a dataset"):
        Dataset.load(tmp_path / "other.safetensors")


def archive(path: Path, name: str, data: bytes) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo(f"package/{name}")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return path


def webp() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (8, 8), (255, 0, 0, 255)).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def test_building_draws_what_the_packages_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [record("2764-FE0F", "HEAVY BLACK HEART", "Smileys & Emotion", "heart")]
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9z"/></svg>'
    files = {
        sources.FLUENT: ("assets/2764-fe0f.webp", webp()),
        sources.TWEMOJI: ("2764.svg", svg),
        sources.GROUPS: ("emoji.json", json.dumps(listed).encode()),
        sources.WORDS: ("dist/emoji-en-US.json", b'{"\xe2\x9d\xa4": ["red_heart", "love"]}'),
    }
    monkeypatch.setattr(sources, "fetch_font", lambda folder: folder / "font.ttf")
    monkeypatch.setattr(
        sources, "fetch", lambda package, _: archive(tmp_path / package.file, *files[package])
    )
    monkeypatch.setattr(dataset, "open_font", lambda _: None)
    monkeypatch.setattr(dataset, "draw_glyph", lambda *_: None)

    built = build(tmp_path, 24, quiet)

    assert [(entry.key, entry.name, entry.style) for entry in built.entries] == [
        ("2764", "red heart", "3d"),
        ("2764", "red heart", "flat"),
    ]
    assert built.pictures[0, 12, 12].tolist() == [255, 0, 0]
