"""Of what all scripts share, each brings what it uses."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from app.contract.scripting import PRELUDE, script_text

FOLDER = files("app.contract") / "scripts"
NAMES = [path.name.removesuffix(".lua") for path in FOLDER.iterdir()]
DEFINED = re.compile(r"^local (?:function )?(\w+)", re.MULTILINE)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", re.sub(r"--.*", "", text))


@pytest.mark.parametrize("name", sorted({*NAMES} - {PRELUDE}))
def test_a_script_has_all_that_it_uses_of_the_prelude_and_no_more(name: str) -> None:
    text = script_text(name)
    head, _, shared = (FOLDER / f"{PRELUDE}.lua").read_text("utf-8").partition("unpack(KEYS)")

    used = words(text.removeprefix(head))
    for one in DEFINED.findall(shared):
        assert (one in DEFINED.findall(text)) == (one in used)
    once = DEFINED.findall(shared)[3:]  # the first ones are numbers that go together
    assert all(used.count(one) != 1 for one in once if one in used and not one.isupper())
