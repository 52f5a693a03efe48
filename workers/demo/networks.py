"""The untrained parts of the demo model, as diffusers and transformers know them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workers.demo.presets import Preset

WORD_END = "</w>"
START, END = "<|startoftext|>", "<|endoftext|>"
NORM_GROUPS = {"autoencoder": 8, "unet": 16}


def autoencoder(preset: Preset) -> AutoencoderKL:
    """Return an untrained autoencoder without attention: it may learn from crops."""
    levels = len(preset.autoencoder_channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=preset.autoencoder_channels,
        latent_channels=preset.latent_channels,
        norm_num_groups=NORM_GROUPS["autoencoder"],
        sample_size=preset.side,
        scaling_factor=1.0,
        mid_block_add_attention=False,
    )


def unet(preset: Preset) -> UNet2DConditionModel:
    """Return an untrained UNet with a transformer at every level."""
    levels = len(preset.unet_channels)
    return UNet2DConditionModel(
        sample_size=preset.latent_side,
        in_channels=preset.latent_channels,
        out_channels=preset.latent_channels,
        down_block_types=("CrossAttnDownBlock2D",) * levels,
        up_block_types=("CrossAttnUpBlock2D",) * levels,
        block_out_channels=preset.unet_channels,
        layers_per_block=preset.unet_layers,
        attention_head_dim=preset.heads,
        cross_attention_dim=preset.text_width,
        norm_num_groups=NORM_GROUPS["unet"],
    )


def text_encoder(preset: Preset, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Return an untrained CLIP-style text encoder for the tokenizer's vocabulary."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=preset.text_width,
        intermediate_size=4 * preset.text_width,
        num_hidden_layers=preset.text_layers,
        num_attention_heads=preset.heads,
        projection_dim=preset.text_width,
        max_position_embeddings=preset.tokens,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def tokenizer(captions: Iterable[str], size: int, tokens: int) -> CLIPTokenizer:
    """Return a byte-pair tokenizer of about `size` pieces learnt from captions.

    Every byte is a piece by itself, inside and at the end of a word, so that no text is unknown.
    """
    symbols = sorted(ByteLevel.alphabet())
    pipeline = CLIPTokenizer().backend_tokenizer
    trainer = BpeTrainer(
        vocab_size=size - len(symbols),
        initial_alphabet=symbols,
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    pipeline.train_from_iterator(captions, trainer)
    merges = [tuple(pair) for pair in json.loads(pipeline.to_str())["model"]["merges"]]
    learnt = ("".join(pair) for pair in merges)
    pieces = [*symbols, *(symbol + WORD_END for symbol in symbols), *learnt, START, END]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    return CLIPTokenizer(vocabulary, merges, model_max_length=tokens)


def noise_schedule() -> DDIMScheduler:
    """Return the noise schedule: zero terminal SNR, v-prediction, trailing timesteps.

    Lin et al., WACV 2024: the last training step is pure noise, as the first sampling step is.
    """
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        steps_offset=1,
    )
