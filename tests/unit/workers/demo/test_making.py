from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.tiny_demo import TINY, workshop
from workers.demo import checkpoints
from workers.demo.describing import RECORD, describe, facts, record
from workers.demo.errors import UnusableParts
from workers.demo.exporting import read_parts
from workers.demo.generating import generate
from workers.demo.measuring import Extent
from workers.pipeline import load

if TYPE_CHECKING:
    from pathlib import Path

FEW = Extent(known=4, unseen=1, shown=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny model, made from nothing but its pictures."""
    work = tmp_path_factory.mktemp("demo")
    shop = workshop(work)
    shop.parts(shop.pictures()).export(work / "model")
    return work


def test_the_result_is_a_model_that_any_worker_can_load(made: Path) -> None:
    model = load(str(made / "model"))

    drawn = generate(model, ["red, flat", "blue, 3d"], [0, 1], lambda *_: None)

    assert drawn.shape == (2, 16, 16, 3)
    assert drawn.std() > 0


def test_in_half_precision_it_learns_nearly_the_same(made: Path, tmp_path: Path) -> None:
    shop = workshop(tmp_path, replace(TINY, half=True))

    halved = shop.parts(shop.pictures())

    whole = read_parts(made / "model")
    for part in ("vae", "unet", "text_encoder"):
        one, other = (getattr(parts, part).parameters() for parts in (halved, whole))
        assert all(map(partial(torch.allclose, atol=0.02), one, other)), part


def test_weights_are_half_precision_safetensors(made: Path) -> None:
    files = [path for path in (made / "model").rglob("*") if path.suffix == ".safetensors"]

    assert len(files) == 3
    assert load(str(made / "model"), dtype=None).pipe.vae.config.latent_channels == 4
    assert not list((made / "model").rglob("*.bin"))


def test_a_card_with_figures_and_sheets_is_written_beside_the_model(made: Path) -> None:
    shop = workshop(made)

    record(shop, made / "model")
    assert describe(shop, made / "model", FEW)

    card = (made / "model" / "README.md").read_text()
    assert "3 steps of 4 pictures" in card
    assert "People & Body" in card
    assert json.loads((made / "model" / "figures.json").read_text())["side"] == 16
    assert (made / "model" / "grid.png").is_file()
    assert load(str(made / "model")).native_size == 16


def test_the_card_of_a_model_that_was_made_otherwise_is_left_as_it_is(
    made: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(made / "model", tmp_path / "other")
    (other / RECORD).unlink(missing_ok=True)
    (other / "README.md").write_text("mine")

    assert not describe(workshop(made), other, FEW)

    assert (other / "README.md").read_text() == "mine"
    assert (other / "figures.json").is_file()


def test_the_record_says_what_training_really_did(made: Path, tmp_path: Path) -> None:
    told = facts(workshop(made))
    nothing = facts(workshop(tmp_path, begin_with=made / "model"))

    assert told["UNet, text encoder with it"] == "3 steps of 4 pictures"
    assert told["text encoder"] == "3 steps of 4 captions"
    assert nothing["text encoder"] == "that of model"
    assert nothing["autoencoder"] == "that of model"
    assert nothing["UNet, text encoder with it"] == "0 steps of 4 pictures, begun with model"


def test_groups_that_are_left_out_are_not_learnt(tmp_path: Path) -> None:
    names = {entry.name for entry in workshop(tmp_path).pictures().entries}

    assert names == {"red", "green", "blue"}


def test_training_goes_on_from_an_exported_model(made: Path, tmp_path: Path) -> None:
    longer = replace(TINY, diffusion=replace(TINY.diffusion, steps=1, learning_rate=0.0))
    shop = workshop(tmp_path, longer, made / "model")

    again = shop.parts(shop.pictures())

    before = read_parts(made / "model")
    for name, tensor in before.unet.state_dict().items():
        assert torch.allclose(again.unet.state_dict()[name], tensor, atol=1e-6), name
    assert checkpoints.steps_done(tmp_path / "unet-16.safetensors") == 1
    assert not (tmp_path / "autoencoder-16.safetensors").exists()


def test_a_unet_is_taught_with_a_text_encoder_that_recalls_pictures(tmp_path: Path) -> None:
    still = replace(TINY, diffusion=replace(TINY.diffusion, steps=1, learning_rate=0.0))
    shop = workshop(tmp_path, still)

    made = shop.parts(shop.pictures())

    kept = load_file(tmp_path / "text-16.safetensors")
    for name, tensor in made.text_encoder.state_dict().items():
        assert torch.allclose(kept[f"network.average.text.{name}"], tensor, atol=1e-6), name


def test_a_model_of_another_shape_cannot_be_trained_on(made: Path, tmp_path: Path) -> None:
    wider = replace(TINY, unet_channels=(32, 32))
    shop = workshop(tmp_path, wider, made / "model")

    with pytest.raises(UnusableParts, match="another shape"):
        shop.parts(shop.pictures())


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableParts, match="is not a model"):
        read_parts(tmp_path)


def test_losses_are_kept_for_a_plot(tmp_path: Path) -> None:
    longer = replace(TINY, diffusion=replace(TINY.diffusion, steps=25))
    shop = workshop(tmp_path, longer)

    shop.parts(shop.pictures())

    rows = (tmp_path / "unet-losses.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["25"]
    assert np.isfinite(float(rows[0].split(",")[1]))
