from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from schedules.book import Plan, Quality
from schedules.change import ChangeProfile
from schedules.influence import Influence, Influences
from schedules.rules import deepcache
from tests.builders import a_unet_graph
from workers import calibration_parts as parts
from workers.errors import CalibrationError
from workers.partial import PartialFolder
from workers.quality import METRIC, Fidelity

if TYPE_CHECKING:
    from pathlib import Path

    from workers.calibration_parts import Part

THIRD = 1 / 3
FOUND = Fidelity(psnr_db=20 + THIRD, ssim=THIRD, similarity=THIRD)


def a_plan() -> Plan:
    graph = a_unet_graph()
    return Plan.of("ddim", "deepcache-3", deepcache(6, graph, 3), graph, Quality(METRIC, THIRD))


def opened(folder: Path, **bound_to: Any) -> PartialFolder:
    return PartialFolder.opened(folder / "partial", {"revision": "a", "size": (8, 8), **bound_to})


def never() -> Any:
    raise AssertionError("a part that was kept is made again")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (parts.profile("ddim", 3), ChangeProfile(((THIRD, 0.1),), ((0.2, THIRD),), 7)),
        (parts.plans("screening", a_unet_graph()), (a_plan(),)),
        (parts.fidelity("screening", a_plan()), FOUND),
    ],
    ids=["profile", "plans", "fidelity"],
)
def test_a_part_is_exactly_what_was_kept(tmp_path: Path, part: Part[Any], value: Any) -> None:
    opened(tmp_path)(part, lambda: value)

    assert opened(tmp_path)(part, never) == value


def test_pictures_and_influence_are_exactly_what_was_kept(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    effects = random.random((2, 3, 4, 5), dtype=np.float32)
    keep = opened(tmp_path)
    keep(parts.reference(), lambda: pictures)
    found = Influences(Influence(effects), Influence(2 * effects))
    keep(parts.influence("ddim", 3), lambda: found)
    kept = keep(parts.influence("ddim", 3), never)

    assert np.array_equal(keep(parts.reference(), never), pictures)
    assert np.array_equal(kept.plain.effects, effects)
    assert np.array_equal(kept.corrected.effects, 2 * effects)


def test_who_goes_on_is_told_how_much_there_is(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first(parts.fidelity("screening", a_plan()), lambda: FOUND)

    assert first.note == ""
    assert opened(tmp_path).note == f"going on in {first.folder}, finished parts: 1"


def test_parts_of_other_settings_are_begun_anew_and_it_says_so(tmp_path: Path) -> None:
    part, other = parts.fidelity("screening", a_plan()), Fidelity(1.0, 1.0, 1.0)
    opened(tmp_path, prompts=("a cat",))(part, lambda: FOUND)
    keep = opened(tmp_path, prompts=("a dog",), revision="b")

    assert keep.note == f"begun anew: the parts in {keep.folder} differ in prompts, revision"
    assert keep(part, lambda: other) == other


def test_parts_that_are_bound_to_nothing_are_begun_anew(tmp_path: Path) -> None:
    part, other = parts.fidelity("screening", a_plan()), Fidelity(1.0, 1.0, 1.0)
    first = opened(tmp_path)
    first(part, lambda: FOUND)
    (first.folder / "bound-to.json").write_text("{")
    keep = opened(tmp_path)

    assert "cannot be read" in keep.note
    assert keep(part, lambda: other) == other


@pytest.mark.parametrize(
    "part", [parts.reference(), parts.profile("ddim", 3)], ids=["tensors", "json"]
)
@pytest.mark.parametrize("left", [b"", b"\0" * 64, b"[]"], ids=["empty", "zeros", "other"])
def test_a_damaged_part_is_made_again(tmp_path: Path, part: Part[Any], left: bytes) -> None:
    values: dict[str, Any] = {
        parts.reference().file: np.ones((1, 2, 2, 3), dtype=np.uint8),
        parts.profile("ddim", 3).file: ChangeProfile(((0.1, 0.2),), ((0.0, 0.0),), 1),
    }
    keep = opened(tmp_path)
    (keep.folder / part.file).write_bytes(left)

    assert keep(part, lambda: values[part.file]) is values[part.file]
    assert np.array_equal(keep(part, never), values[part.file])


def test_an_interrupted_part_leaves_nothing_that_is_taken_up(tmp_path: Path) -> None:
    def interrupted() -> Fidelity:
        raise KeyboardInterrupt

    part = parts.fidelity("screening", a_plan())
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path)(part, interrupted)

    assert opened(tmp_path)(part, lambda: FOUND) == FOUND


def test_a_folder_that_cannot_be_made_says_so_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "partial").write_text("")

    with pytest.raises(CalibrationError, match="cannot write to"):
        opened(tmp_path)


def test_a_part_that_cannot_be_kept_says_so(tmp_path: Path) -> None:
    keep = opened(tmp_path)
    keep.remove()

    with pytest.raises(CalibrationError, match="cannot write to"):
        keep(parts.fidelity("screening", a_plan()), lambda: FOUND)
    with pytest.raises(CalibrationError, match="cannot write to"):
        keep(parts.reference(), lambda: np.ones((1, 2, 2, 3), dtype=np.uint8))
