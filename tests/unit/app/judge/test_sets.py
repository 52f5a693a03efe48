"""Picture sets, and the order in which annotators see them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from app.contract.picture_sets import MANIFEST, Comparison, PictureSet
from app.judge.errors import JudgeError
from app.judge.sets import order, read_set
from tests.picture_sets import a_set, write_set

if TYPE_CHECKING:
    from pathlib import Path


def test_a_set_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = write_set(tmp_path, a_set())

    assert read_set(tmp_path) == written


def test_every_comparison_is_made_on_every_request() -> None:
    both = replace(a_set(3), comparisons=(Comparison(0, 1), Comparison(1, 0)))

    assert len(set(both.pairs)) == 6
    assert both.files(both.pairs[0]) == both.files(both.pairs[3])[::-1]


def test_an_annotator_sees_every_pair_once_in_an_order_of_their_own() -> None:
    pairs = a_set(50).pairs
    one, other = order(pairs, "one"), order(pairs, "other")

    assert {shown.pair for shown in one} == set(pairs)
    assert len(one) == len(pairs)
    assert [shown.pair for shown in one] != [shown.pair for shown in other]
    assert one == order(pairs, "one")


def test_either_side_is_as_likely_at_any_place() -> None:
    shown = order(a_set(2000).pairs, "seed")

    for part in (shown[:1000], shown[1000:]):
        assert 420 < sum(one.first_is_left for one in part) < 580


def broken(**changes: Any) -> str:
    return json.dumps({**json.loads(a_set(2).encode()), **changes})


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ("{", "Expecting property name"),
        ("[]", "no picture set"),
        (broken(format=2), "reads format 1"),
        (broken(requests=[]), "needs an id"),
        (broken(comparisons=[{"first": 0, "second": 0}]), "no comparison"),
        (broken(comparisons=[{"first": 0, "second": 2}]), "no comparison"),
        (broken(requests=[{"prompt": "a", "seed": 1}]), "2 pictures of 1"),
        (broken(colour="red"), "colour"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused_by_saying_why(
    manifest: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / MANIFEST).write_text(manifest)

    with pytest.raises(JudgeError, match=why):
        read_set(tmp_path)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a.png", "", 7])
def test_a_set_leads_to_no_file_but_its_pictures(name: object, tmp_path: Path) -> None:
    methods = json.loads(a_set(1).encode())["methods"]
    methods[0]["files"] = [name]
    requests = [{"prompt": "a", "seed": 1}]
    (tmp_path / MANIFEST).write_text(broken(methods=methods, requests=requests))

    with pytest.raises(JudgeError):
        read_set(tmp_path)


def test_a_set_without_one_of_its_pictures_is_refused(tmp_path: Path) -> None:
    pictures = write_set(tmp_path, a_set())
    (tmp_path / pictures.methods[1].files[3]).unlink()

    with pytest.raises(JudgeError, match="not complete"):
        read_set(tmp_path)


def test_names_of_pictures_tell_nothing_of_their_method() -> None:
    assert not {name for m in a_set().methods for name in m.files} & {
        name for m in a_set().methods for name in m.files
    }


def test_a_folder_without_a_set_is_refused_by_saying_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="blockcache judge make"):
        read_set(tmp_path)


def test_two_methods_of_one_name_are_refused() -> None:
    pictures = a_set()
    with pytest.raises(ValueError, match="same name"):
        PictureSet("id", "?", pictures.requests, (pictures.methods[0],) * 2, pictures.comparisons)
