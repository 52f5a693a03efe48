from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from schedules.change import ChangeProfile
from schedules.rules import EVERY_LAYER, accumulate, all_compute, deepcache, uniform
from tests.bundled import SIDE
from tests.rendering import a_frame, is_untouched, latents_of, some_prompts
from workers.calibration_files import FOLDER, load_profiles
from workers.fitting import fit, least_squares, moments

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from workers.correction import Correction
    from workers.pipeline import Model
    from workers.sampler import Frame, Prompt

GAIN = torch.tensor([0.5, 1.0, -0.2])
SHIFT = torch.tensor([0.0, 2.0, -1.0])
SLOPE = torch.tensor([0.3, 0.0, 1.5])


def noise(seed: int = 0, pictures: int = 64) -> Tensor:
    return torch.randn((pictures, 3, 5, 7), generator=torch.Generator().manual_seed(seed))


def wide(x: Tensor) -> Tensor:
    return x[:, None, None]


def test_a_known_affine_map_is_found() -> None:
    value = noise() + 4
    rest = wide(GAIN) * value + wide(SHIFT) - value
    gain, shift = least_squares(moments([value], rest, tokens_last=False), ridge=0).float()

    torch.testing.assert_close(gain, GAIN - 1, atol=1e-5, rtol=0)
    torch.testing.assert_close(shift, SHIFT, atol=1e-5, rtol=0)


def test_a_known_forecast_is_found() -> None:
    value, drift = noise(), 0.2 * noise(1)
    rest = wide(GAIN) * value + wide(SLOPE) * drift + wide(SHIFT) - value
    sums = moments([value, drift], rest, tokens_last=False)
    gain, shift, slope = least_squares(sums, ridge=0).float()

    torch.testing.assert_close(gain, GAIN - 1, atol=1e-5, rtol=0)
    torch.testing.assert_close(shift, SHIFT, atol=1e-5, rtol=0)
    torch.testing.assert_close(slope, SLOPE, atol=1e-5, rtol=0)


def test_moments_of_batches_add_up() -> None:
    value, rest = noise(), noise(1)
    parts = [
        moments([v], r, tokens_last=False)
        for v, r in zip(value.split(5), rest.split(5), strict=True)
    ]

    torch.testing.assert_close(sum(parts), moments([value], rest, tokens_last=False))


def test_moments_do_not_depend_on_where_the_channels_are() -> None:
    value, rest = noise(), noise(1)
    tokens = [x.flatten(2).transpose(1, 2) for x in (value, rest)]

    torch.testing.assert_close(
        moments(tokens[:1], tokens[1], tokens_last=True), moments([value], rest, tokens_last=False)
    )


def test_a_single_sample_corrects_next_to_nothing() -> None:
    value = torch.ones(1, 3, 1, 1)
    terms = least_squares(moments([value], value * 5, tokens_last=False))

    assert (terms[0] == 0).all()
    assert 0 < terms[1].min() <= terms[1].max() < 0.1


def test_a_channel_that_hardly_varies_is_only_shifted() -> None:
    value, rest = noise(), noise(1)
    value[:, 1] = 3 + 1e-4 * value[:, 1]
    rest[:, 1] = 2 + value[:, 1]
    gain, shift = least_squares(moments([value], rest, tokens_last=False))

    assert abs(gain[1]) < 1e-4
    assert shift[1] == pytest.approx(5.0, rel=0.05)


def test_a_unit_that_never_varies_has_a_finite_correction() -> None:
    still = torch.zeros(4, 3, 2, 2)

    assert (least_squares(moments([still, still], still, tokens_last=False)) == 0).all()


def errors(
    model: Model, frame: Frame, correction: Correction, prompts: list[Prompt]
) -> tuple[float, float]:
    """Return how far final latents are from those of the uncached run, corrected and not."""
    full = replace(frame, schedule=all_compute(frame.schedule.steps, model.units.graph))
    wanted, _ = latents_of(model, full, prompts)

    def error(cached: Frame) -> float:
        found, _ = latents_of(model, cached, prompts)
        return float((found - wanted).square().mean().sqrt())

    return error(replace(frame, correction=correction)), error(frame)


def emoji_frame(emoji: Model) -> Frame:
    profile: ChangeProfile = load_profiles(emoji.folder / FOLDER, SIDE, SIDE)["dpmpp_2m", 8]
    schedule = accumulate(profile, emoji.units.graph, 0.5)
    return a_frame(emoji, schedule, solver="dpmpp_2m")


@pytest.mark.parametrize("two_tap", [False, True])
def test_unseen_pictures_come_closer_to_the_uncached_ones(emoji: Model, two_tap: bool) -> None:
    frame = emoji_frame(emoji)
    correction = fit(emoji, frame, some_prompts(*range(6)), two_tap=two_tap)

    corrected, plain = errors(emoji, frame, correction, some_prompts(101, 102, 103))
    assert corrected < 0.9 * plain


@pytest.mark.parametrize("two_tap", [False, True])
@pytest.mark.parametrize("rule", ["uniform", "deepcache"])
@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl"])
def test_fitted_pictures_come_closer_to_the_uncached_ones(
    models: Callable[[str], Model], name: str, rule: str, two_tap: bool
) -> None:
    model = models(name)
    graph = model.units.graph
    tables = {"uniform": uniform(6, graph, 2, EVERY_LAYER), "deepcache": deepcache(6, graph, 2)}
    frame = a_frame(model, tables[rule])
    prompts = some_prompts(*range(6))
    correction = fit(model, frame, prompts, two_tap=two_tap, batch=4)

    corrected, plain = errors(model, frame, correction, prompts)
    assert corrected < plain
    assert correction.origin.kind == ("two-tap" if two_tap else "closed-form")
    assert is_untouched(model.pipe.unet)


def test_the_fit_does_not_depend_on_how_pictures_are_cut_into_batches(tiny: Model) -> None:
    frame, prompts = a_frame(tiny, uniform(4, tiny.units.graph, 2)), some_prompts(1, 2, 3)
    one, three = (fit(tiny, frame, prompts, batch=batch).terms for batch in (1, 3))

    for name, table in one.items():
        torch.testing.assert_close(table, three[name], atol=2e-3, rtol=2e-3)


def test_every_step_is_reported(tiny: Model) -> None:
    told: list[tuple[str, int, int]] = []
    frame = a_frame(tiny, uniform(3, tiny.units.graph, 2))
    fit(tiny, frame, some_prompts(), progress=lambda *progress: told.append(progress))

    assert told == [("correction", step, 3) for step in (1, 2, 3)]


def test_the_unet_is_restored_when_a_fit_fails(tiny: Model) -> None:
    calls: list[Any] = []

    def fail(*_: Any) -> None:
        calls.append(None)
        if len(calls) == 3:
            raise RuntimeError("out of memory")

    handle = tiny.pipe.unet.conv_out.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        fit(tiny, a_frame(tiny, uniform(4, tiny.units.graph, 2)), some_prompts())
    handle.remove()

    assert is_untouched(tiny.pipe.unet)
