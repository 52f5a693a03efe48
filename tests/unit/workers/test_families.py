from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from diffusers import LDMTextToImagePipeline, StableDiffusionPipeline, VQModel
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig, CLIPImageProcessor

from tests.rendering import a_frame, by_diffusers, latents_of, pixels_of, some_prompts
from tests.tiny_books import book_for, costs_for
from tests.tiny_models import TINY
from workers.batch import Desk
from workers.colouring import colours_of
from workers.errors import ModelError
from workers.families import FAMILIES, Conditioning, family_of
from workers.images import to_pixels
from workers.pipeline import load
from workers.sampler import Prompt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workers.pipeline import Model


@pytest.fixture
def ldm(models: Callable[[str], Model]) -> Model:
    return models("ldm")


def test_a_pipeline_of_no_known_family_is_refused_by_naming_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"^SimpleNamespace models .* StableDiffusionPipeline, "):
        family_of(SimpleNamespace())


def test_latent_diffusion_folders_are_loaded_like_any_other(ldm: Model) -> None:
    assert isinstance(ldm.pipe, LDMTextToImagePipeline)
    assert ldm.family is FAMILIES["LDMTextToImagePipeline"]
    assert (ldm.native_size, ldm.dtype) == (64, torch.float32)


@torch.inference_mode()
def test_latent_diffusion_is_steered_away_from_a_negative_prompt(ldm: Model) -> None:
    def encoded(negative: str | None) -> Conditioning:
        return ldm.family.encode(ldm.pipe, "a fox", negative, 64, 64, True)

    away, text = encoded("a dog").text.chunk(2)
    plain = ldm.family.encode(ldm.pipe, "a dog", None, 64, 64, False).text

    assert torch.equal(away, plain)
    assert torch.equal(text, encoded(None).text[1:])
    assert torch.equal(encoded("").text, encoded(None).text)


def test_latent_diffusion_under_euler_starts_from_as_much_noise_as_the_solver_wants(
    ldm: Model,
) -> None:
    by_euler, by_ddim = (
        latents_of(ldm, a_frame(ldm, 40, solver=solver), [Prompt("a fox", None, 1)])[0]
        for solver in ("euler", "ddim")
    )

    assert (by_euler - by_ddim).std() < 0.3 * by_ddim.std()


def test_latent_diffusion_may_decode_with_a_quantised_autoencoder(ldm: Model) -> None:
    vqvae = VQModel(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        num_vq_embeddings=16,
        norm_num_groups=8,
    ).eval()
    quantised = replace(ldm, pipe=LDMTextToImagePipeline(**{**ldm.pipe.components, "vqvae": vqvae}))
    frame, (prompt,) = a_frame(quantised), some_prompts(2)
    latents, _ = latents_of(quantised, frame, [prompt])
    _, expected = by_diffusers(quantised, frame, prompt)

    assert np.array_equal(pixels_of(quantised, latents)[0], expected)


@pytest.fixture(params=[True, False], ids=["flagged", "passed"])
def checked(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Model, bool]:
    """Return a model with a safety checker that flags all pictures or none, and which."""
    parts = {
        **TINY["sd1"]().components,
        "safety_checker": a_safety_checker(flags=request.param),
        "feature_extractor": CLIPImageProcessor(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        ),
    }
    StableDiffusionPipeline(**parts).save_pretrained(tmp_path)
    return load(str(tmp_path), device=torch.device("cpu")), request.param


def a_safety_checker(*, flags: bool) -> StableDiffusionSafetyChecker:
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
    }
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=8))
    checker.special_care_embeds_weights.fill_(2.0)  # no cosine exceeds 2, every one exceeds -2
    checker.concept_embeds_weights.fill_(-2.0 if flags else 2.0)
    return checker


def test_a_safety_checker_in_the_folder_blacks_out_what_it_flags(
    checked: tuple[Model, bool],
) -> None:
    model, is_flagged = checked
    frame, (prompt,) = a_frame(model), some_prompts(3)
    latents, _ = latents_of(model, frame, [prompt])
    pixels = pixels_of(model, latents)[0]
    _, expected = by_diffusers(model, frame, prompt)

    assert np.array_equal(pixels, expected)
    assert (pixels.max() == 0) == is_flagged


def test_latents_of_pictures_that_are_checked_have_no_colours(checked: tuple[Model, bool]) -> None:
    model, _ = checked
    desk = Desk("worker-1", model, book_for(model), costs_for(model))

    assert colours_of(desk) is None


def test_one_flagged_picture_leaves_the_others_of_its_batch_as_they_are() -> None:
    images = torch.linspace(-1, 1, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)

    def run_safety_checker(shown: Any, _device: Any, _dtype: Any) -> tuple[Any, list[bool]]:
        return shown * torch.tensor([0.0, 1.0])[:, None, None, None], [True, False]

    pipe = SimpleNamespace(run_safety_checker=run_safety_checker)
    finished = FAMILIES["StableDiffusionPipeline"].finish(pipe, images)

    assert to_pixels(finished)[0].max() == 0
    assert torch.equal(finished[1], images[1])


@pytest.mark.parametrize("name", TINY)
def test_the_conditioning_of_each_text_stays_with_its_halves(
    models: Callable[[str], Model], name: str
) -> None:
    model = models(name)
    conditioning = model.family.encode(model.pipe, "a fox", None, 64, 64, True)
    repeated = conditioning.repeated(3)

    assert repeated.text.shape[0] == 6
    assert torch.equal(repeated.text[:3], conditioning.text[:1].expand(3, -1, -1))
