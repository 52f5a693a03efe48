"""What a model's parts are, read from the files of its folder."""

from __future__ import annotations

import json
from math import prod
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    Config = Mapping[str, Any]


def describe_parts(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield name, description and number of parameters of each part of a diffusers folder.

    Raises FileNotFoundError when one is missing.
    """
    for name, (part, config, describe) in PARTS.items():
        path = folder / part / config
        yield name, describe(json.loads(path.read_text())), _parameters(path.parent)


def _parameters(folder: Path) -> str:
    """Return how many parameters the safetensors of a part hold, in millions."""
    count = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="numpy") as file:
            count += sum(prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    return f"{count / 1e6:.1f} M" if count else "—"


def _autoencoder(config: Config) -> str:
    side, channels = config["sample_size"], config["block_out_channels"]
    latent = side >> len(channels) - 1
    attention = "with" if config["mid_block_add_attention"] else "no"
    return (
        f"{config['_class_name']}, {side}×{side} pixels to {latent}×{latent} latents of "
        f"{config['latent_channels']} channels; blocks {_blocks(channels)}, "
        f"{config['layers_per_block']} per level, {attention} attention"
    )


def _unet(config: Config) -> str:
    kinds = {*config["down_block_types"], *config["up_block_types"]}
    everywhere = all(kind.startswith("CrossAttn") for kind in kinds)
    return (
        f"{config['_class_name']}; blocks {_blocks(config['block_out_channels'])}, "
        f"{config['layers_per_block']} per level, a transformer at "
        f"{'every level' if everywhere else 'some levels'}, text of width "
        f"{config['cross_attention_dim']}"
    )


def _text_encoder(config: Config) -> str:
    return (
        f"{config['architectures'][0]}; width {config['hidden_size']}, "
        f"{config['num_hidden_layers']} layers, {config['max_position_embeddings']} tokens, "
        f"vocabulary of {config['vocab_size']:,} pieces"
    )


def _noise(config: Config) -> str:
    zero = "zero" if config["rescale_betas_zero_snr"] else "non-zero"
    return (
        f"{config['num_train_timesteps']:,} steps, {config['beta_schedule']} betas, {zero} "
        f"terminal SNR, {config['prediction_type']}, {config['timestep_spacing']} timesteps"
    )


def _blocks(channels: Iterable[int]) -> str:
    return "-".join(map(str, channels))


# Part: folder, configuration file, and what to say of it.
PARTS: dict[str, tuple[str, str, Callable[[Config], str]]] = {
    "autoencoder": ("vae", "config.json", _autoencoder),
    "UNet": ("unet", "config.json", _unet),
    "text encoder": ("text_encoder", "config.json", _text_encoder),
    "noise": ("scheduler", "scheduler_config.json", _noise),
}
