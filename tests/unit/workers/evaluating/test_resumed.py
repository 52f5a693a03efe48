"""An evaluation that is interrupted, and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rendering import a_frame, some_prompts
from workers.evaluating.lineup import LineupSettings
from workers.evaluating.parts import lined_up, pictures
from workers.evaluating.session import Session, Setting
from workers.influence import InfluenceSettings
from workers.partial import PartialFolder

if TYPE_CHECKING:
    from pathlib import Path

    from workers.pipeline import Model

SETTING = Setting(16, 16, 3.0, tuple(some_prompts(1, 2)))
LINEUP = LineupSettings(
    tuple(some_prompts(1)),
    speed_ups=(1.5,),
    influence=InfluenceSettings(projections=1, longest_lag=2),
)


class Interrupted(Exception):
    """Somebody stopped the evaluation."""


def after_the_first_picture(stage: str, done: int, _total: int) -> None:
    if (stage, done) == ("ddim 4: pictures", 1):
        raise Interrupted


def test_an_interrupted_evaluation_goes_on_where_it_was(tiny: Model, tmp_path: Path) -> None:
    keep = PartialFolder.opened(tmp_path / "partial", {})
    with pytest.raises(Interrupted):
        Session(tiny, SETTING, after_the_first_picture, keep=keep).evaluated(
            "ddim", 4, LINEUP, rounds=1
        )
    part = pictures("pictures-ddim-4", 1)
    first = part.read(keep.folder / part.file)
    told: list[str] = []
    session = Session(tiny, SETTING, lambda stage, *_: told.append(stage), keep=keep)
    found = session.evaluated("ddim", 4, LINEUP, rounds=1)

    assert set(told) == {"reference: pictures", "ddim 4: pictures"}
    assert found.outcomes[0].ms[0] == first.ms[0]
    assert len(found.outcomes[0].ms) == 2


def test_methods_are_read_as_they_were_written(tiny: Model, tmp_path: Path) -> None:
    keep = PartialFolder.opened(tmp_path / "partial", {})
    Session(tiny, SETTING, lambda *_: None, keep=keep).evaluated("ddim", 4, LINEUP, rounds=1)
    part = lined_up(a_frame(tiny, 4))
    kept = part.read(keep.folder / part.file)
    part.write(tmp_path / "again.json", kept)

    assert (tmp_path / "again.json").read_bytes() == (keep.folder / part.file).read_bytes()
    assert any(method.enable for method in kept.methods)
    assert any(method.frame.correction for method in kept.methods)
