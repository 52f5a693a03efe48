"""Real diffusers pipelines of known families, tiny and with random weights, built and not loaded.

Latents are 8×8, pictures 16×16 pixels (those of ldm 64×64, of emu 32×32); the weights follow from
the name alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    LDMTextToImagePipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import (
    LDMBertConfig,
    LDMBertModel,
)
from transformers import (
    BertTokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from workers.pipeline import BUNDLED, load
from workers.shapes import NOISE, unet_of
from workers.shapes import SHAPES as FULL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workers.pipeline import Model

SIDE = 16
TEXT_WIDTH = 32
UNET: dict[str, Any] = {
    "sample_size": SIDE // 2,
    "block_out_channels": (32, 64),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "cross_attention_dim": TEXT_WIDTH,
}


def stable_diffusion_1() -> StableDiffusionPipeline:
    """Attention at both levels, projections by convolution, noise predicted."""
    return _sd(_unet_1(), DDIMScheduler(**NOISE))


def stable_diffusion_2() -> StableDiffusionPipeline:
    """No attention at the deepest level, linear projections, velocity predicted, two layers."""
    unet = UNet2DConditionModel(
        **{**UNET, "layers_per_block": 2},
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=[2, 4],
        use_linear_projection=True,
    )
    scheduler = DDIMScheduler(
        **NOISE,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )
    return _sd(unet, scheduler)


def stable_diffusion_xl() -> StableDiffusionXLPipeline:
    """Two text encoders, pooled text and time ids, two transformer layers at the deep level."""
    unet = UNet2DConditionModel(
        **{**UNET, "cross_attention_dim": 2 * TEXT_WIDTH},
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=[2, 4],
        transformer_layers_per_block=[1, 2],
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + TEXT_WIDTH,
    )
    return StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=CLIPTextModel(_text()),
        text_encoder_2=CLIPTextModelWithProjection(_text()),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        unet=unet,
        scheduler=DDIMScheduler(**NOISE),
        add_watermarker=False,
    )


def latent_diffusion() -> LDMTextToImagePipeline:
    """Layout of Stable Diffusion 1 with a BERT-like text encoder; the autoencoder divides by 8."""
    return LDMTextToImagePipeline(
        vqvae=_vae((8, 8, 16, 16)),
        bert=LDMBertModel(_bert()),
        tokenizer=_letters(),
        unet=_unet_1(),
        scheduler=DDIMScheduler(**NOISE),
    )


def emu_like() -> StableDiffusionPipeline:
    """EMU's UNet, narrow, between a text encoder and an autoencoder of 16 latent channels."""
    return _sd(emu_twin(), DDIMScheduler(**NOISE), latent_channels=16)


def emu_twin() -> UNet2DConditionModel:
    """EMU's UNet, narrow: 16 latent channels, four layers a level, four levels."""
    return unet_of(
        "emu",
        sample_size=SIDE,
        block_out_channels=(8, 16, 24, 24),
        attention_head_dim=(1, 2, 3, 3),
        norm_num_groups=8,
        cross_attention_dim=TEXT_WIDTH,
    )


SHAPES: dict[str, dict[str, Any]] = {
    "small": {
        **FULL["sd15"],
        "sample_size": SIDE,
        "block_out_channels": (32,) * 4,
        "attention_head_dim": 4,
        "cross_attention_dim": TEXT_WIDTH,
    },
    "smallxl": {
        **FULL["sdxl"],
        "sample_size": SIDE // 2,
        "block_out_channels": (32, 64, 64),
        "attention_head_dim": (1, 2, 2),
        "transformer_layers_per_block": (1, 1, 2),
        "cross_attention_dim": TEXT_WIDTH,
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + TEXT_WIDTH,
    },
}
"""The blocks of well-known shapes, narrow."""

TINY: dict[str, Callable[[], Any]] = {
    "sd1": stable_diffusion_1,
    "sd2": stable_diffusion_2,
    "sdxl": stable_diffusion_xl,
    "ldm": latent_diffusion,
    "emu": emu_like,
}


def save_tiny(name: str, parent: Path) -> Path:
    """Write the tiny model of that name as a diffusers folder and return it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipe = TINY[name]()
    pipe.save_pretrained(parent / name)
    return parent / name


def load_tiny(name: str, parent: Path, device: str = "cpu") -> Model:
    """Load the tiny model of that name, or a bundled one, as a worker would."""
    source = name if name in BUNDLED else str(save_tiny(name, parent))
    return load(source, device=torch.device(device))


def _sd(unet: Any, scheduler: Any, latent_channels: int = 4) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=_vae(latent_channels=latent_channels),
        text_encoder=CLIPTextModel(_text()),
        tokenizer=_tokenizer(),
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _unet_1() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        **UNET,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=4,
    )


def _vae(channels: tuple[int, ...] = (16, 32), latent_channels: int = 4) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        latent_channels=latent_channels,
        norm_num_groups=8,
        sample_size=SIDE,
    )


def _text() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=4096,
        hidden_size=TEXT_WIDTH,
        intermediate_size=2 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_attention_heads=2,
        num_hidden_layers=2,
        max_position_embeddings=24,
        bos_token_id=4094,
        eos_token_id=4095,
        pad_token_id=4095,
    )


def _tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(BUNDLED["emoji"] / "tokenizer")


def _bert() -> LDMBertConfig:
    return LDMBertConfig(
        vocab_size=128,
        encoder_layers=2,
        encoder_ffn_dim=2 * TEXT_WIDTH,
        encoder_attention_heads=2,
        head_dim=TEXT_WIDTH // 2,
        d_model=TEXT_WIDTH,
    )


def _letters() -> BertTokenizer:
    """Return a tokenizer that reads a text letter by letter."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    return BertTokenizer(vocab={word: token for token, word in enumerate(words)})
