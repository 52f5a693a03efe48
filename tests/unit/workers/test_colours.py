from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from tests.rendering import a_frame, latents_of, some_prompts
from workers.batch import Desk
from workers.calibration_files import FOLDER, load_book, load_costs
from workers.colouring import colours_of
from workers.colours import SPLIT, Colours, fitted
from workers.sampler import decode

if TYPE_CHECKING:
    from torch import Tensor

    from workers.pipeline import Model


def enlarged(small: Tensor) -> Tensor:
    """Return small pictures as pictures of eight pixels a latent, all of one colour."""
    return functional.interpolate(small, scale_factor=8 // SPLIT, mode="nearest")


def test_a_linear_decoder_is_found_exactly() -> None:
    true = Colours(torch.randn(5, 3 * SPLIT**2))
    latents = torch.randn(3, 4, 8, 6)
    samples = list(zip(latents, enlarged(true(latents)), strict=True))

    assert (fitted(samples)(latents) - true(latents)).abs().max() < 0.01


def test_a_channel_that_was_never_used_stays_without_a_colour() -> None:
    latents = torch.randn(2, 4, 8, 8)
    latents[:, 3] = 0.0
    colours = fitted([(each, torch.rand(3, 64, 64)) for each in latents])

    assert colours.weights[3].abs().max() < 1e-6


def test_half_precision_latents_have_colours_too() -> None:
    colours = Colours(torch.randn(5, 3 * SPLIT**2))
    latents = torch.randn(1, 4, 8, 8).half()

    assert torch.equal(colours(latents), colours(latents.float()))


@torch.inference_mode()
def test_the_colours_found_before_a_worker_serves_are_near_those_of_pictures(
    emoji: Model,
) -> None:
    folder, size = emoji.folder / FOLDER, (emoji.native_size, emoji.native_size)
    desk = Desk("worker-1", emoji, load_book(folder, *size), load_costs(folder, *size))
    colours = colours_of(desk)
    assert colours is not None
    latents, _ = latents_of(emoji, a_frame(emoji, 8), some_prompts(1))
    pictures = decode(emoji, latents)
    grey = pictures.mean((2, 3), keepdim=True).expand_as(pictures)
    apart = [float((seen - pictures).abs().mean()) for seen in (enlarged(colours(latents)), grey)]

    assert apart[0] < 0.5 * apart[1]
