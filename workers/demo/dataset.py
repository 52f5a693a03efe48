"""Every drawable emoji in three styles: the pictures a model learns from, and their words."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from workers.demo import sources
from workers.demo.captions import describe, key_of, text_of, with_colour
from workers.demo.drawing import draw_file, draw_glyph, draw_svg, main_colour, open_font
from workers.demo.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from workers.demo.captions import Emoji

    Painter = Callable[[str, int], NDArray[np.uint8] | None]
    Progress = Callable[[str, int, int], None]

HELD_OUT_SHARE = 0.1
GROUPS_OUT = frozenset({"Component", "Flags"})
SUBGROUPS_OUT = frozenset(
    {"alphanum", "arrow", "av-symbol", "currency", "gender", "keycap", "math", "other-symbol"}
    | {"punctuation", "religion", "transport-sign", "warning", "zodiac"}
)
# Repetitions of one picture with small changes, and shapes that differ from another in size only.
NAMES_OUT = re.compile(
    r" facing right$| (o clock|thirty)$|^(family|kiss|couple with heart) (adult|man|woman)"
    r"|(small|medium) (square|diamond)|^small (blue|orange)|button$|^diamond with a dot$"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture's words. `held_out`: never trained on, though its emoji is in other styles."""

    key: str
    name: str
    group: str
    keywords: tuple[str, ...]
    style: str
    held_out: bool


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """N pictures, N × side × side × 3, and the words of each."""

    pictures: NDArray[np.uint8]
    entries: tuple[Entry, ...]

    @property
    def training(self) -> Dataset:
        """The pictures to learn from."""
        return self._part(held_out=False)

    @property
    def held_out(self) -> Dataset:
        """The pictures to judge with."""
        return self._part(held_out=True)

    def without(self, groups: Collection[str]) -> Dataset:
        """Return the pictures of all other groups."""
        return self._where(lambda entry: entry.group not in groups)

    def _part(self, *, held_out: bool) -> Dataset:
        return self._where(lambda entry: entry.held_out == held_out)

    def _where(self, wanted: Callable[[Entry], bool]) -> Dataset:
        chosen = [i for i, entry in enumerate(self.entries) if wanted(entry)]
        return Dataset(self.pictures[chosen], tuple(self.entries[i] for i in chosen))

    def save(self, path: Path) -> None:
        """Write one safetensors file, whole or not at all; raises DatasetError."""
        words = json.dumps([asdict(entry) for entry in self.entries])
        part = path.with_name(f"{path.name}.part")
        try:
            save_file({"pictures": self.pictures}, part, metadata={"entries": words})
            part.replace(path)
        except (OSError, SafetensorError) as error:
            raise DatasetError(f"cannot write {path}: {error}") from error

    @classmethod
    def load(cls, path: Path) -> Dataset:
        """Read what `save` wrote; raises DatasetError when it is missing or something else."""
        try:
            with safe_open(path, framework="numpy") as file:
                words = json.loads(file.metadata()["entries"])
                pictures = file.get_tensor("pictures")
        except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
            raise DatasetError(f"{path} is not a dataset of pictures: {error}") from error
        entries = (Entry(**{**word, "keywords": tuple(word["keywords"])}) for word in words)
        return cls(pictures, tuple(entries))


def select(listed: Iterable[dict[str, Any]], words: dict[str, Sequence[str]]) -> tuple[Emoji, ...]:
    """Choose the emoji that show something a picture can show, each name once.

    `listed` are the records of emoji-datasource, `words` the keyword lists of emojilib.
    """
    plain = {text.replace("\ufe0f", ""): tuple(keywords) for text, keywords in words.items()}
    ordered = sorted(listed, key=lambda record: int(record["sort_order"]))
    described = (describe(record, plain) for record in ordered if _drawable(record))
    named = {emoji.name: emoji for emoji in described if not NAMES_OUT.search(emoji.name)}
    return tuple(emoji for emoji in named.values() if not _neutral_twin(emoji.name, named))


def _drawable(record: dict[str, Any]) -> bool:
    return record["category"] not in GROUPS_OUT and record["subcategory"] not in SUBGROUPS_OUT


def _neutral_twin(name: str, names: dict[str, Emoji]) -> bool:
    """Tell whether "person X" has both a "man X" and a "woman X", which look the same."""
    kind, _, rest = name.partition(" ")
    return kind == "person" and {f"man {rest}", f"woman {rest}"} <= names.keys()


def held_out_style(key: str, styles: Sequence[str]) -> str | None:
    """Return which style of an emoji is held out, always the same one; mostly None."""
    digest = hashlib.sha256(key.encode()).digest()
    chosen = int.from_bytes(digest[:4]) < HELD_OUT_SHARE * 2**32
    return styles[digest[4] % len(styles)] if chosen and len(styles) > 1 else None


def illustrate(
    emoji: Sequence[Emoji], painters: dict[str, Painter], side: int, progress: Progress
) -> Dataset:
    """Draw every emoji in every style that has it, side × side pixels."""
    drawn: list[tuple[Entry, NDArray[np.uint8]]] = []
    for done, one in enumerate(emoji, 1):
        drawn.extend(_in_every_style(one, painters, side))
        progress("draw", done, len(emoji))
    pictures = np.stack([picture for _, picture in drawn])
    return Dataset(pictures, tuple(entry for entry, _ in drawn))


def _in_every_style(
    emoji: Emoji, painters: dict[str, Painter], side: int
) -> Iterator[tuple[Entry, NDArray[np.uint8]]]:
    tried = {style: painter(emoji.key, side) for style, painter in painters.items()}
    pictures = {style: picture for style, picture in tried.items() if picture is not None}
    out = held_out_style(emoji.key, tuple(pictures))
    for style, picture in pictures.items():
        yield _entry(emoji, style, picture, held_out=style == out), picture


def _entry(emoji: Emoji, style: str, picture: NDArray[np.uint8], *, held_out: bool) -> Entry:
    keywords = with_colour(emoji, main_colour(picture))
    return Entry(emoji.key, emoji.name, emoji.group, keywords, style, held_out)


def build(work: Path, side: int, progress: Progress) -> Dataset:
    """Fetch what is missing in `work`/packages and draw the whole dataset, side × side pixels.

    `progress` hears the stage, the parts done and their number. Raises DemoError.
    """
    font, fluent, twemoji, groups, words = _fetch_all(work / "packages", progress)
    listed = json.loads(sources.contents(groups, "/emoji.json")["emoji.json"])
    keywords = json.loads(sources.contents(words, "/emoji-en-US.json")["dist/emoji-en-US.json"])
    return illustrate(select(listed, keywords), _painters(fluent, twemoji, font), side, progress)


def _fetch_all(folder: Path, progress: Progress) -> list[Path]:
    packages = (sources.FLUENT, sources.TWEMOJI, sources.GROUPS, sources.WORDS)
    progress("download", 0, len(packages) + 1)
    files = [sources.fetch_font(folder)]
    for package in packages:
        progress("download", len(files), len(packages) + 1)
        files.append(sources.fetch(package, folder))
    progress("download", len(files), len(files))
    return files


def _painters(fluent: Path, twemoji: Path, font: Path) -> dict[str, Painter]:
    face = open_font(font)
    return {
        "3d": _painter(sources.contents(fluent, ".webp"), draw_file),
        "noto": lambda key, side: draw_glyph(text_of(key), face, side),
        "flat": _painter(sources.contents(twemoji, ".svg"), draw_svg),
    }


def _painter(files: dict[str, bytes], draw: Callable[[bytes, int], NDArray[np.uint8]]) -> Painter:
    """Return what draws the file named after a key, if there is one."""
    names = {key_of(name.rpartition("/")[2].partition(".")[0]): name for name in files}
    return lambda key, side: draw(files[names[key]], side) if key in names else None
