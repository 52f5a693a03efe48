from __future__ import annotations

from collections import Counter

import pytest
import torch

from schedules.units import Role
from tests.tiny_models import SHAPES as TINY_SHAPES
from workers.errors import ModelError
from workers.shapes import SHAPES, random_conditioning, random_model, unet_of
from workers.units import example_inputs, find_units


@pytest.mark.parametrize(
    ("shape", "billions"), [("sd15", (0.85, 0.87)), ("sdxl", (2.5, 2.6)), ("emu", (2.6, 2.85))]
)
def test_a_shape_has_as_many_parameters_as_its_model(
    shape: str, billions: tuple[float, float]
) -> None:
    with torch.device("meta"):
        count = sum(weights.numel() for weights in unet_of(shape).parameters())

    assert billions[0] < count / 1e9 < billions[1]


@pytest.mark.parametrize(("shape", "transformers"), [("sd15", 16), ("sdxl", 11), ("emu", 28)])
def test_units_are_found_without_memory_for_weights(shape: str, transformers: int) -> None:
    with torch.device("meta"):
        units = find_units(unet_of(shape)).graph.units

    assert Counter(unit.role for unit in units)[Role.TRANSFORMER] == transformers


def test_emu_has_attention_in_all_levels_but_the_deepest() -> None:
    with torch.device("meta"):
        names = [unit.name for unit in find_units(unet_of("emu")).graph.units]

    levels = {name.rsplit(".", 2)[0] for name in names if ".attn." in name}
    assert levels == {"down.0", "down.1", "down.2", "mid", "up.1", "up.2", "up.3"}


@pytest.mark.parametrize("build", [random_model, unet_of])
def test_an_unknown_shape_is_refused_by_naming_the_known_ones(build: type) -> None:
    with pytest.raises(ModelError, match=f"'cube'; there are {', '.join(SHAPES)}$"):
        build("cube")


def test_a_random_model_is_ready_to_denoise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "small", {**SHAPES["sd15"], "block_out_channels": (32,) * 4})
    model = random_model("small")

    assert (model.name, model.native_size) == ("small", 512)
    assert all(torch.isfinite(weights).all() for weights in model.pipe.unet.parameters())
    assert not model.pipe.unet.training
    assert not any(weights.requires_grad for weights in model.pipe.unet.parameters())


def test_random_weights_are_the_same_again_in_the_dtype_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SHAPES, "small", TINY_SHAPES["small"])
    one, other = (random_model("small", torch.bfloat16).pipe.unet for _ in range(2))
    pairs = zip(one.parameters(), other.parameters(), strict=True)

    assert one.dtype == torch.bfloat16
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("shape", TINY_SHAPES)
def test_random_weights_keep_activations_in_range(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SHAPES, shape, TINY_SHAPES[shape])
    unet = random_model(shape).pipe.unet
    with torch.inference_mode():
        noise = unet(**example_inputs(unet) | {"sample": torch.randn(1, 4, 16, 16)})[0]

    assert 0.01 < noise.std() < 100


def test_conditioning_is_guided_for_every_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHAPES, "smallxl", TINY_SHAPES["smallxl"])
    found = random_conditioning(random_model("smallxl"), batch=3)

    assert found.added is not None
    assert {len(tensor) for tensor in (found.text, *found.added.values())} == {6}
