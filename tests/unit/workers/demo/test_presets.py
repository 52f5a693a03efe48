from __future__ import annotations

import pytest

from workers.demo.presets import PRESETS, Course, Preset

UNTRAINED_SHARE = 1e-3
presets = pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS.keys())


def courses(preset: Preset) -> tuple[Course, ...]:
    return preset.autoencoder, preset.text, preset.diffusion


@presets
def test_no_trace_of_the_untrained_weights_stays_in_the_average(preset: Preset) -> None:
    shares = [course.averaging**course.steps for course in courses(preset)]

    assert max(shares) < UNTRAINED_SHARE


@presets
def test_the_rate_has_room_to_fall_after_it_rose(preset: Preset) -> None:
    assert all(10 * course.warm_up <= course.steps for course in courses(preset))
