"""The words of an emoji: a clean name and keywords, and captions made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np

    from workers.demo.dataset import Entry

MOST_KEYWORDS = 10
NAME_REPAIRS = {
    r"(\w) s (?=\w)": r"\1's ",
    r"^(man|woman|person) (red|curly|white|blond) hair$": r"\1 with \2 hair",
    r"^(man|woman|person) beard$": r"\1 with beard",
    r"^(man|woman|person) bald$": r"bald \1",
    r"\b(e|t) (mail|rex|shirt)\b": r"\1-\2",
    r"^yo yo$": "yo-yo",
    r"^jack o lantern$": "jack-o-lantern",
}
COLOURS = frozenset(
    {"red", "orange", "yellow", "green", "blue", "purple", "pink"}
    | {"brown", "black", "white", "grey", "gray"}
)
UNCOLOURED = "People & Body"
SUBGROUP_WORDS = {
    "animal-bird": "bird",
    "animal-bug": "insect",
    "animal-mammal": "animal",
    "animal-marine": "sea animal",
    "animal-reptile": "reptile",
    "cat-face": "cat",
    "clothing": "clothing",
    "drink": "drink",
    "food-asian": "asian food",
    "food-fruit": "fruit",
    "food-prepared": "food",
    "food-sweet": "sweet food",
    "food-vegetable": "vegetable",
    "heart": "heart",
    "musical-instrument": "musical instrument",
    "place-building": "building",
    "plant-flower": "flower",
    "sky & weather": "weather",
    "sport": "sport",
    "tool": "tool",
    "transport-air": "air travel",
    "transport-ground": "transport",
    "transport-water": "water transport",
}

# {a} is what is shown, perhaps with an article, {n} the same without one.
PLAIN = ("{a}", "{n} emoji", "icon of {a}", "picture of {a}")
STYLED = {
    "3d": ("{a}, 3d style", "{a}, 3d", "3d {n}", "{n} 3d emoji", "3d icon of {a}"),
    "noto": ("{a}, noto style", "{a}, noto", "noto {n}", "{n} noto emoji", "{a}, noto emoji"),
    "flat": ("{a}, flat style", "{a}, flat", "flat {n}", "{n} flat emoji", "flat icon of {a}"),
}
STYLED_SHARE = 0.7
ARTICLE_SHARE = 0.4
COLOUR_SHARE = 0.35
# How often a caption has the name and how few and how many keywords.
CONTENTS = ((0.5, True, 0, 0), (0.38, True, 1, 3), (0.12, False, 2, 3))


@dataclass(frozen=True, slots=True)
class Emoji:
    """An emoji in words: `key` is its code points without variation selectors, "1f34e"."""

    key: str
    name: str
    group: str
    keywords: tuple[str, ...]


def key_of(code_points: str) -> str:
    """Return code points joined by hyphens in lower case and without variation selectors."""
    return "-".join(point for point in code_points.lower().split("-") if point != "fe0f")


def text_of(key: str) -> str:
    """Return the characters of a key."""
    return "".join(chr(int(point, 16)) for point in key.split("-"))


def describe(record: Mapping[str, Any], words: Mapping[str, Sequence[str]]) -> Emoji:
    """Put an emoji-datasource record into words: by emojilib's list for its characters, if any."""
    key = key_of(record["unified"])
    first, *rest = words.get(text_of(key)) or (record["name"],)
    name = clean_name(first)
    subgroup = SUBGROUP_WORDS.get(record["subcategory"], "")
    return Emoji(key, name, record["category"], clean_keywords((subgroup, *rest), name))


def clean_name(raw: str) -> str:
    """Turn the first word of a keyword list, "woman_s_hat", into a name, "woman's hat"."""
    name = _plain(raw)
    for pattern, replacement in NAME_REPAIRS.items():
        name = re.sub(pattern, replacement, name)
    return name


def clean_keywords(raw: Iterable[str], name: str) -> tuple[str, ...]:
    """Return at most MOST_KEYWORDS keywords of letters, none twice and none made of name words.

    Colours go too: keyword lists hold colours that another vendor's picture has.
    """
    said = COLOURS.union(_plain(name).split())
    plain = (_plain(word) for word in raw if re.fullmatch(r"[A-Za-z][A-Za-z '_-]{2,}", word))
    new = (word for word in plain if not said.issuperset(word.split()))
    return tuple(dict.fromkeys(new))[:MOST_KEYWORDS]


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9'-]+", " ", text.lower()).split())


def with_colour(emoji: Emoji, colour: str | None) -> tuple[str, ...]:
    """Return the keywords with a colour before them, unless the name has one; people have none."""
    needless = emoji.group == UNCOLOURED or COLOURS.intersection(emoji.name.split())
    return emoji.keywords if colour is None or needless else (colour, *emoji.keywords)


def canonical(entry: Entry) -> str:
    """Return the one caption that names a picture best: "red apple, 3d"."""
    return f"{entry.name}, {entry.style}"


def caption(entry: Entry, rng: np.random.Generator) -> str:
    """Return one of many captions of a picture; the same for the same state of `rng`.

    With the name, keywords after it, or keywords alone; with or without a word for the style.
    """
    words = tuple(word for word in entry.keywords if word not in COLOURS)
    named, least, most = _contents(len(words), rng)
    keywords = _some(words, int(rng.integers(least, most + 1)), rng)
    first, *extras = (_coloured(entry, rng), *keywords) if named else keywords
    shown = _with_article(first, rng) if named else first
    return ", ".join((_pattern(entry.style, rng).format(a=shown, n=first), *extras))


def _contents(keywords: int, rng: np.random.Generator) -> tuple[bool, int, int]:
    shares = [share for share, *_ in CONTENTS]
    _, named, least, most = CONTENTS[int(rng.choice(len(CONTENTS), p=shares))]
    return (named, least, min(most, keywords)) if least <= keywords else (True, 0, 0)


def _some(words: tuple[str, ...], count: int, rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(words[int(i)] for i in rng.permutation(len(words))[:count])


def _coloured(entry: Entry, rng: np.random.Generator) -> str:
    colour = next((word for word in entry.keywords if word in COLOURS), None)
    return f"{colour} {entry.name}" if colour and rng.random() < COLOUR_SHARE else entry.name


def _with_article(name: str, rng: np.random.Generator) -> str:
    plural = name.endswith("s") and not name.endswith(("ss", "us", "is"))
    bare = plural or not name[0].isalpha() or rng.random() >= ARTICLE_SHARE
    return name if bare else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _pattern(style: str, rng: np.random.Generator) -> str:
    patterns = STYLED[style] if rng.random() < STYLED_SHARE else PLAIN
    return patterns[int(rng.integers(len(patterns)))]
