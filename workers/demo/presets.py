"""How large the demo model is and how long it learns, for a CPU and for one GPU."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Course:
    """How long and how hard one part learns.

    The learning rate rises over `warm_up` steps and falls to 0 along a cosine; `averaging` is the
    share of the running average of the weights that stays at every step.
    """

    steps: int
    batch: int
    learning_rate: float
    warm_up: int
    averaging: float


@dataclass(frozen=True, slots=True)
class Preset:
    """One size of the model with its courses. Sides are in pixels.

    The autoencoder halves the side once a level but the first; it learns from crops. Emoji of the
    groups in `left_out` are not learnt: people differ in what a small model cannot draw.
    """

    side: int
    latent_channels: int
    autoencoder_channels: tuple[int, ...]
    crop: int
    autoencoder: Course
    unet_channels: tuple[int, ...]
    unet_layers: int
    heads: int
    text_width: int
    text_layers: int
    vocabulary: int
    text: Course
    diffusion: Course
    left_out: frozenset[str] = frozenset()
    tokens: int = 24
    half: bool = False

    @property
    def latent_side(self) -> int:
        """Side of the latents."""
        return self.side >> len(self.autoencoder_channels) - 1


PRESETS = {
    "cpu": Preset(
        side=64,
        latent_channels=32,
        autoencoder_channels=(24, 48, 96, 128),
        crop=32,
        autoencoder=Course(2_000, 16, 2e-2, 100, 0.99),
        unet_channels=(64, 128, 192),
        unet_layers=1,
        heads=4,
        text_width=128,
        text_layers=3,
        vocabulary=4096,
        text=Course(3_600, 256, 2e-2, 50, 0.99),
        diffusion=Course(4_800, 128, 2e-2, 100, 0.997),
        left_out=frozenset({"People & Body"}),
    ),
    "gpu": Preset(
        side=128,
        latent_channels=24,
        autoencoder_channels=(32, 64, 128, 128),
        crop=64,
        autoencoder=Course(2_800, 64, 2e-2, 100, 0.997),
        unet_channels=(96, 128, 224),
        unet_layers=2,
        heads=4,
        text_width=192,
        text_layers=4,
        vocabulary=4096,
        text=Course(2_900, 512, 2e-2, 50, 0.997),
        diffusion=Course(4_600, 384, 2e-2, 300, 0.998),
        left_out=frozenset({"People & Body"}),
        half=True,
    ),
}
