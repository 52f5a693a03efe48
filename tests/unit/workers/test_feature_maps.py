from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from schedules.errors import InvalidGraph
from schedules.rules import uniform
from tests.rendering import a_frame, some_prompts
from workers.feature_maps import feature_maps

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.pipeline import Model


@pytest.mark.parametrize(
    ("name", "unit", "side"),
    [("sd1", "mid.attn.0", 4), ("sd2", "down.0.attn.1", 8), ("sdxl", "up.1.resnet.0", 8)],
)
def test_a_unit_has_one_coloured_map_a_step(
    models: Callable[[str], Model], name: str, unit: str, side: int
) -> None:
    model = models(name)
    (prompt,) = some_prompts(0)

    found = feature_maps(model, prompt, a_frame(model, 3), [unit])[unit]

    assert found.shape == (3, side, side, 3)
    assert found.min() == 0
    assert found.max() == 1


def test_what_is_reused_keeps_its_colours(tiny: Model) -> None:
    (prompt,) = some_prompts(0)
    frame = a_frame(tiny, uniform(4, tiny.units.graph, 2))

    maps = feature_maps(tiny, prompt, frame, ["mid.attn.0"])["mid.attn.0"]

    assert np.array_equal(maps[0], maps[1])
    assert not np.array_equal(maps[1], maps[2])


def test_a_unit_that_is_not_there_is_refused(tiny: Model) -> None:
    (prompt,) = some_prompts(0)

    with pytest.raises(InvalidGraph, match=r"no unit is called 'mid\.attn\.9'"):
        feature_maps(tiny, prompt, a_frame(tiny, 2), ["mid.attn.9"])
