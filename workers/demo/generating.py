"""Pictures that a loaded model makes: of captions, and of pictures through its autoencoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from schedules.rules import all_compute
from workers.images import to_pixels, to_tensor
from workers.sampler import Frame, Prompt, decode, denoise, encode, initial_latents

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from workers.pipeline import Model

    OnPicture = Callable[[int, int], None]

SOLVER = "dpmpp_2m"
STEPS = 20
GUIDANCE = 3.0
BATCH = 16


def generate(
    model: Model, captions: Sequence[str], seeds: Sequence[int], progress: OnPicture
) -> NDArray[np.uint8]:
    """Return one picture of the model's own size a caption, N × S × S × 3, each from its seed.

    Nothing is cached. `progress(done, total)` counts pictures. Raises ValueError unless there are
    as many seeds as captions.
    """
    prompts = [Prompt(text, None, seed) for text, seed in zip(captions, seeds, strict=True)]
    made = []
    for start in range(0, len(prompts), BATCH):
        made.append(_batch(model, prompts[start : start + BATCH]))
        progress(min(start + BATCH, len(prompts)), len(prompts))
    return np.concatenate(made)


@torch.inference_mode()
def _batch(model: Model, prompts: Sequence[Prompt]) -> NDArray[np.uint8]:
    side = model.native_size
    frame = Frame(side, side, GUIDANCE, SOLVER, all_compute(STEPS, model.units.graph))
    conditioning = encode(model, prompts, frame)
    start = initial_latents(model, prompts, frame)
    latents, _ = denoise(model, conditioning, start, frame)
    return to_pixels(decode(model, latents))


def reconstruct(
    model: Model, pictures: NDArray[np.uint8], progress: OnPicture
) -> NDArray[np.uint8]:
    """Return N pictures encoded to the most likely latents and decoded again, N × S × S × 3."""
    made = []
    for start in range(0, len(pictures), BATCH):
        made.append(_through(model, pictures[start : start + BATCH]))
        progress(min(start + BATCH, len(pictures)), len(pictures))
    return np.concatenate(made)


@torch.inference_mode()
def _through(model: Model, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    vae = model.pipe.vae
    x = to_tensor(pictures).to(model.device, model.dtype)
    return to_pixels(vae.decode(vae.encode(x).latent_dist.mode()).sample)
