from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workers.demo.captions import (
    COLOURS,
    Emoji,
    canonical,
    caption,
    clean_keywords,
    clean_name,
    describe,
    key_of,
    text_of,
    with_colour,
)
from workers.demo.dataset import Entry

APPLE = Entry("1f34e", "red apple", "Food & Drink", ("fruit", "school", "plant"), "3d", False)
CAR = Entry("1f697", "automobile", "Travel & Places", ("red", "vehicle", "engine"), "flat", False)
RECORD = {"unified": "2764-FE0F", "name": "HEAVY BLACK HEART", "category": "Smileys & Emotion"}


def many(entry: Entry, count: int = 400) -> list[str]:
    rng = np.random.default_rng(5)
    return [caption(entry, rng) for _ in range(count)]


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("red_apple", "red apple"),
        ("woman_s_hat", "woman's hat"),
        ("t_shirt", "t-shirt"),
        ("t_rex", "t-rex"),
        ("woman_red_hair", "woman with red hair"),
        ("man_bald", "bald man"),
        ("BROWN MUSHROOM", "brown mushroom"),
        ("family: adult, child", "family adult child"),
        ("glasses", "glasses"),
    ],
)
def test_names_read_like_english(raw: str, name: str) -> None:
    assert clean_name(raw) == name


def test_keywords_are_words_said_once_and_not_in_the_name() -> None:
    raw = ("Fruit", "fruit", "apple", "ice_cream", ":D", "red", "gold", "x2", "go")

    assert clean_keywords(raw, "green apple") == ("fruit", "ice cream", "gold")


def test_a_keyword_may_hold_a_word_of_the_name() -> None:
    assert clean_keywords(("apple tree",), "red apple") == ("apple tree",)


def test_keywords_are_few() -> None:
    assert len(clean_keywords((f"{chr(97 + i)}word" for i in range(26)), "dog")) == 10


def test_a_key_has_no_variation_selectors() -> None:
    assert key_of("2764-FE0F-200D-1F525") == "2764-200d-1f525"
    assert text_of("2764-200d-1f525") == "\u2764\u200d\U0001f525"


def test_an_emoji_is_described_by_its_keyword_list_and_its_subgroup() -> None:
    record = {**RECORD, "subcategory": "cat-face"}

    emoji = describe(record, {"\u2764": ("red_heart", "love", "valentine")})

    assert emoji == Emoji("2764", "red heart", "Smileys & Emotion", ("cat", "love", "valentine"))


def test_an_emoji_without_a_keyword_list_has_its_own_name() -> None:
    assert describe({**RECORD, "subcategory": "heart"}, {}).name == "heavy black heart"


def test_a_colour_comes_before_the_keywords() -> None:
    car = Emoji("1f697", "automobile", "Travel & Places", ("vehicle",))

    assert with_colour(car, "red") == ("red", "vehicle")
    assert with_colour(car, None) == ("vehicle",)


def test_neither_names_with_a_colour_nor_people_get_one() -> None:
    book = Emoji("1f4d7", "green book", "Objects", ("read",))
    man = Emoji("1f468", "man", "People & Body", ("male",))

    assert with_colour(book, "blue") == ("read",)
    assert with_colour(man, "yellow") == ("male",)


def test_the_canonical_caption_is_name_and_style() -> None:
    assert canonical(APPLE) == "red apple, 3d"


def test_the_same_generator_gives_the_same_captions() -> None:
    assert many(APPLE) == many(APPLE)


def test_captions_vary() -> None:
    assert len(set(many(APPLE))) > 100


def test_most_captions_name_the_thing_and_some_only_hint_at_it() -> None:
    named = sum("red apple" in text for text in many(APPLE))

    assert 0.8 < named / 400 < 0.96


def test_about_seven_in_ten_captions_name_the_style() -> None:
    assert 0.6 < sum("3d" in text for text in many(APPLE)) / 400 < 0.8


@pytest.mark.parametrize("style", ["3d", "noto", "flat"])
def test_no_caption_names_another_style(style: str) -> None:
    others = {"3d", "noto", "flat"} - {style}

    for text in many(replace(APPLE, style=style)):
        assert not others.intersection(text.replace(",", "").split())


def test_an_entry_without_keywords_is_always_named() -> None:
    assert all("red apple" in text for text in many(replace(APPLE, keywords=())))


def test_a_colour_stands_before_the_name_and_nowhere_else() -> None:
    coloured = [text for text in many(CAR) if COLOURS.intersection(text.replace(",", "").split())]

    assert len(coloured) > 50
    assert all("red automobile" in text for text in coloured)


@pytest.mark.parametrize(
    ("name", "article"), [("onion", "an onion"), ("bus", "a bus"), ("carrot", "a carrot")]
)
def test_some_captions_have_an_article(name: str, article: str) -> None:
    assert any(article in text for text in many(replace(APPLE, name=name)))


def test_plurals_have_no_article() -> None:
    assert not any("a grapes" in text for text in many(replace(APPLE, name="grapes")))


def test_nothing_stands_between_a_style_and_a_bare_name() -> None:
    texts = many(APPLE)

    assert "3d red apple" in texts
    assert not any("3d a red apple" in text for text in texts)
