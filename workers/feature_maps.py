"""What units make over the steps of one picture, as colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from workers.sampler import denoise, encode, initial_latents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from workers.cached_unet import CacheRun
    from workers.pipeline import Model
    from workers.sampler import Frame, Prompt
    from workers.units import UnitModule

COMPONENTS = 3
QUANTILES = (0.01, 0.99)


@torch.inference_mode()
def feature_maps(
    model: Model, prompt: Prompt, frame: Frame, units: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Return for each unit its values over the steps of one picture, steps × h × w × 3 in [0, 1].

    The three colours are the principal components of the channels over all steps and positions, of
    the half with the prompt; a colour means the same at every step. Raises InvalidGraph when the
    UNet has no such unit.
    """
    graph = model.units.graph
    watched = {name: graph.index(name) for name in units}
    seen: dict[str, list[Tensor]] = {name: [] for name in units}

    def on_step(_step: int, run: CacheRun, latents: Tensor) -> bool:
        for name, u in watched.items():
            seen[name].append(_map(run.values[u][-1], model.units.modules[u], latents))
        return True

    noise = initial_latents(model, [prompt], frame)
    denoise(model, encode(model, [prompt], frame), noise, frame, on_step)
    return {name: _coloured(torch.stack(maps)) for name, maps in seen.items()}


def _map(value: Tensor, entry: UnitModule, latents: Tensor) -> Tensor:
    """Return one value as C × h × w."""
    if not entry.tokens_last:
        return value.float().cpu()
    height, width = latents.shape[-2:]
    scale = round((height * width / len(value)) ** 0.5)
    shaped = value.T.reshape(-1, height // scale, width // scale)
    return shaped.float().cpu()


def _coloured(values: Tensor) -> NDArray[np.float64]:
    steps, channels, height, width = values.shape
    rows = values.permute(0, 2, 3, 1).reshape(-1, channels).double()
    centred = rows - rows.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    found = (centred @ directions[:COMPONENTS].T).numpy()
    low, high = np.quantile(found, QUANTILES, axis=0)
    colours = np.clip((found - low) / np.maximum(high - low, 1e-12), 0, 1)
    padded = np.zeros((len(colours), COMPONENTS))
    padded[:, : colours.shape[1]] = colours
    return padded.reshape(steps, height, width, COMPONENTS)
