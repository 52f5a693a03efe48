from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from schedules.units import Role
from tests import bundled
from tests.rendering import is_untouched
from tests.tiny_models import SIDE, TINY
from workers.calibration_files import FOLDER, load_book
from workers.pipeline import BUNDLED
from workers.units import find_units, replaced_forward

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.pipeline import Model

    Models = Callable[[str], Model]


def names(model: Model) -> list[str]:
    return [unit.name for unit in model.units.graph.units]


def feeds(model: Model, name: str) -> list[str]:
    graph = model.units.graph
    return [graph.units[f].name for f in graph.feeds[graph.index(name)]]


def test_units_stand_in_the_order_they_run(models: Models) -> None:
    assert names(models("sd1")) == [
        "down.0.resnet.0", "down.0.attn.0", "down.0.downsampler",
        "down.1.resnet.0", "down.1.attn.0",
        "mid.resnet.0", "mid.attn.0", "mid.resnet.1",
        "up.0.entry.0", "up.0.resnet.0", "up.0.attn.0",
        "up.0.entry.1", "up.0.resnet.1", "up.0.attn.1", "up.0.upsampler",
        "up.1.resnet.0", "up.1.attn.0",
        "up.1.entry.1", "up.1.resnet.1", "up.1.attn.1", "out",
    ]  # fmt: skip


def test_blocks_without_attention_have_units_too(models: Models) -> None:
    found = names(models("sd2"))

    assert {"down.1.resnet.0", "down.1.resnet.1", "up.0.resnet.2"} <= set(found)
    assert not any(name.startswith(("down.1.attn", "up.0.attn")) for name in found)


def test_every_up_layer_has_one_place_to_cut(models: Models) -> None:
    found = [name for name in names(models("sd2")) if "entry" in name or "upsampler" in name]

    assert found == [
        "up.0.entry.0", "up.0.entry.1", "up.0.entry.2", "up.0.upsampler",
        "up.1.entry.1", "up.1.entry.2",
    ]  # fmt: skip


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_plan_book_is_for_the_bundled_models_units(models: Models, name: str) -> None:
    model, size = models(name), (models(name).native_size,) * 2

    book = load_book(model.folder / FOLDER, *size)
    assert (book.model, book.revision, book.graph) == (name, model.revision, model.units.graph)


def test_roles_are_those_of_the_layers(models: Models) -> None:
    graph = models("sdxl").units.graph

    assert graph.units[graph.index("down.1.attn.0")].role is Role.TRANSFORMER
    assert graph.units[graph.index("down.0.resnet.0")].role is Role.RESNET
    assert graph.units[graph.index("down.0.downsampler")].role is Role.SAMPLER
    assert graph.units[graph.index("up.0.entry.0")].role is Role.ENTRY


@pytest.mark.parametrize(
    ("name", "unit", "read"),
    [
        ("sd1", "down.0.resnet.0", []),
        ("sd1", "down.0.downsampler", ["down.0.attn.0"]),
        ("sd1", "up.0.entry.0", ["mid.resnet.1"]),
        ("sd1", "up.0.resnet.0", ["down.1.attn.0", "up.0.entry.0"]),
        ("sd1", "up.0.resnet.1", ["down.0.downsampler", "up.0.entry.1"]),
        ("sd1", "up.1.resnet.0", ["down.0.attn.0", "up.0.upsampler"]),
        ("sd1", "up.1.resnet.1", ["up.1.entry.1"]),
        ("sd2", "up.0.resnet.0", ["down.1.resnet.1", "up.0.entry.0"]),
        ("sd2", "up.0.resnet.1", ["down.1.resnet.0", "up.0.entry.1"]),
        ("sdxl", "up.1.resnet.0", ["down.0.resnet.0", "up.0.upsampler"]),
        ("sd1", "out", ["up.1.attn.1"]),
        ("sd2", "out", ["up.1.attn.2"]),
        ("sdxl", "out", ["up.1.resnet.1"]),
    ],
)
def test_units_read_what_reaches_them_over_skips_and_the_main_branch(
    models: Models, name: str, unit: str, read: list[str]
) -> None:
    assert feeds(models(name), unit) == read


def test_the_sink_is_the_unets_output(model: Model) -> None:
    graph = model.units.graph

    assert [graph.units[sink].role for sink in graph.sinks] == [Role.OUTPUT]


def test_looking_for_units_leaves_nothing_behind(model: Model) -> None:
    find_units(model.pipe.unet)

    assert is_untouched(model.pipe.unet)


def test_looking_for_units_twice_finds_the_same(tiny: Model) -> None:
    assert find_units(tiny.pipe.unet).graph == tiny.units.graph


def test_a_forward_that_was_replaced_before_is_put_back(tiny: Model) -> None:
    module = tiny.pipe.unet.mid_block.resnets[0]
    theirs = module.forward
    with replaced_forward(module, theirs):
        assert find_units(tiny.pipe.unet).graph == tiny.units.graph
        assert module.__dict__["forward"] is theirs

    assert "forward" not in module.__dict__


def test_a_unet_that_cannot_run_is_restored() -> None:
    unet = TINY["sd1"]().unet
    unet.conv_out = torch.nn.Conv2d(1, 4, 3)
    with pytest.raises(RuntimeError):
        find_units(unet)

    assert is_untouched(unet)


def test_units_do_not_depend_on_precision() -> None:
    unet = TINY["sd1"]().unet

    assert find_units(unet.to(torch.float64)).graph == find_units(unet.float()).graph


def test_a_tiny_model_knows_its_own_size(models: Models) -> None:
    assert models("sd1").native_size == SIDE
    assert models("emoji-small").native_size == bundled.SIDE
