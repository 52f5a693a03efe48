from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from tests.rendering import (
    TEXT,
    a_frame,
    by_diffusers,
    latents_of,
    pixels_of,
    some_prompts,
)
from tests.tiny_models import SIDE, TINY
from workers.errors import ModelError
from workers.pipeline import fingerprint, load, locate

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.pipeline import Model


@pytest.fixture
def folder(tiny: Model, tmp_path: Path) -> Path:
    """Return a copy of a tiny model that a test may spoil."""
    return Path(shutil.copytree(tiny.folder, tmp_path / "mine"))


def change_one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_loaded_model_knows_its_name_size_and_precision(folder: Path) -> None:
    model = load(str(folder), device=torch.device("cpu"))

    assert (model.name, model.native_size) == ("mine", SIDE)
    assert (model.device.type, model.dtype) == ("cpu", torch.float32)
    assert model.revision == fingerprint(folder)


def test_weights_loaded_in_inference_mode_still_take_part_in_gradients(folder: Path) -> None:
    with torch.inference_mode():
        model = load(str(folder))
    assert not any(weight.is_inference() for weight in model.pipe.unet.parameters())


def test_in_bfloat16_all_compute_is_the_plain_pipeline_too(folder: Path) -> None:
    model = load(str(folder), dtype=torch.bfloat16)
    frame, (prompt,) = a_frame(model), some_prompts(7)
    latents, _ = latents_of(model, frame, [prompt])

    assert model.dtype == latents.dtype == torch.bfloat16
    assert torch.equal(latents, by_diffusers(model, frame, prompt)[0])
    assert pixels_of(model, latents).shape == (1, SIDE, SIDE, 3)


@pytest.mark.parametrize(("name", "side", "units"), [("emoji", 128, 45), ("emoji-small", 64, 30)])
def test_a_bundled_model_is_loaded_by_name(
    models: Callable[[str], Model], name: str, side: int, units: int
) -> None:
    model = models(name)

    assert (model.name, model.native_size, len(model.units.graph)) == (name, side, units)


def test_equal_folders_have_one_fingerprint(tiny: Model, folder: Path) -> None:
    assert fingerprint(folder) == tiny.revision


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_one_other_byte_of_weights_is_another_revision(
    tiny: Model, folder: Path, part: str
) -> None:
    (weights,) = (folder / part).glob("*.safetensors")
    change_one_byte(weights)

    assert fingerprint(folder) != tiny.revision


def test_another_configuration_is_another_revision(tiny: Model, folder: Path) -> None:
    change_json(folder / "scheduler" / "scheduler_config.json", prediction_type="v_prediction")

    assert fingerprint(folder) != tiny.revision


def test_plan_books_beside_the_weights_do_not_change_the_revision(
    tiny: Model, folder: Path
) -> None:
    (folder / "blockcache").mkdir()
    (folder / "blockcache" / "book-16x16.json").write_text("{}")

    assert fingerprint(folder) == tiny.revision


def test_large_files_are_sampled_at_both_ends(folder: Path, tmp_path: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(bytes(3_000_000))
    before = fingerprint(folder)
    change_one_byte(weights)

    assert fingerprint(folder) != before


def test_a_folder_without_an_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model_index\.json: not a diffusers folder"):
        locate(str(tmp_path))


def test_a_pipeline_of_another_kind_is_refused_by_naming_the_known_kinds(folder: Path) -> None:
    change_json(folder / "model_index.json", _class_name="StableDiffusionImg2ImgPipeline")

    with pytest.raises(ModelError, match="not supported; these are: StableDiffusionPipeline"):
        load(str(folder))


def test_a_class_diffusers_does_not_know_is_refused(folder: Path) -> None:
    change_json(folder / "model_index.json", _class_name="NoSuchPipeline")

    with pytest.raises(ModelError, match="not a model this worker can load"):
        load(str(folder))


def test_weights_that_could_run_code_are_refused(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(TINY["sd1"]().unet.state_dict(), weights.with_suffix(".bin"))
    weights.unlink()

    with pytest.raises(ModelError, match="not a model this worker can load"):
        load(str(folder))


def test_a_missing_part_is_refused(folder: Path) -> None:
    shutil.rmtree(folder / "vae")

    with pytest.raises(ModelError, match="not a model this worker can load"):
        load(str(folder))


def test_broken_weights_are_refused(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])

    with pytest.raises(ModelError, match="not a model this worker can load"):
        load(str(folder))


@pytest.mark.parametrize(("name", "tokens"), [("sd1", 24), ("ldm", 77)])
def test_too_long_a_prompt_is_cut_short_without_repeating_it(
    models: Callable[[str], Model], capfd: pytest.CaptureFixture[str], name: str, tokens: int
) -> None:
    model = models(name)
    conditioning = model.family.encode(model.pipe, f"{TEXT} " * 50, None, SIDE, SIDE, True)

    assert conditioning.text.shape[:2] == (2, tokens)
    assert TEXT not in "".join(capfd.readouterr())
