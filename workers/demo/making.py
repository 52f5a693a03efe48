"""From nothing to a complete model folder: data, autoencoder, UNet, export. Every stage resumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from workers.demo import autoencoder, diffusion, recalling
from workers.demo.captions import canonical, caption
from workers.demo.dataset import Dataset, build
from workers.demo.diffusion import Material
from workers.demo.exporting import Parts, read_parts
from workers.demo.generating import generate
from workers.demo.learning import learn
from workers.demo.networks import tokenizer
from workers.demo.sheets import grid_sheet
from workers.images import to_png

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from diffusers import AutoencoderKL
    from torch import Tensor, nn
    from transformers import CLIPTokenizer

    from workers.demo.learning import Learner
    from workers.demo.presets import Preset

    Progress = Callable[..., None]

READINGS = 64
SEED = 0
SAMPLES = 24
SHEETS = 8
NOTE_EVERY = 25


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where a model is made: its preset, a folder for everything in between, a device.

    `begin_with` is an exported folder of the same shape: its autoencoder and tokenizer are kept,
    its UNet and text encoder trained on. `progress(stage, done, total, note)` follows it all.
    """

    preset: Preset
    work: Path
    device: torch.device
    progress: Progress
    begin_with: Path | None = None

    def pictures(self) -> Dataset:
        """Return the pictures to learn from, drawn once."""
        path = self.work / f"pictures-{self.preset.side}.safetensors"
        if not path.is_file():
            build(self.work, self.preset.side, self.progress).save(path)
        return Dataset.load(path).without(self.preset.left_out)

    def parts(self, data: Dataset) -> Parts:
        """Return all parts, trained to the end of their courses."""
        known = read_parts(self.begin_with) if self.begin_with else None
        vae = known.vae.to(self.device) if known else self.autoencoder(data)
        words = known.tokenizer if known else self.words(data)
        taught = self.denoiser(data, vae, words, known)
        return _parts(taught, vae, words)

    def autoencoder(self, data: Dataset) -> AutoencoderKL:
        """Return the trained autoencoder with standardised latents."""
        pixels = data.training.pictures
        lesson = autoencoder.lesson(self.preset, pixels, self.state("autoencoder"), self.device)
        vae: AutoencoderKL = learn(
            lesson, self._noted("autoencoder", self.preset.autoencoder.steps)
        )["vae"]
        autoencoder.standardise(vae, pixels)
        return vae

    def words(self, data: Dataset) -> CLIPTokenizer:
        """Return a tokenizer that has read every training caption in many wordings."""
        names = [canonical(entry) for entry in data.training.entries]
        worded = wordings(data.training)
        return tokenizer([*names, *worded], self.preset.vocabulary, self.preset.tokens)

    def denoiser(
        self, data: Dataset, vae: AutoencoderKL, words: CLIPTokenizer, known: Parts | None
    ) -> nn.ModuleDict:
        """Return the trained UNet and text encoder."""
        material = self._material(data.training, vae, words)
        lesson = diffusion.lesson(self.preset, material, words, self.state("unet"), self.device)
        if known:
            known.teach(lesson.networks)
        else:
            lesson.networks["text"].load_state_dict(self._reader(material, words).state_dict())
        note = self._noted("UNet", self.preset.diffusion.steps)
        captions = [canonical(entry) for entry in data.training.entries]
        shown = captions[:: -(-len(captions) // SAMPLES)]
        every = -(-self.preset.diffusion.steps // SHEETS)

        def on_step(learner: Learner, loss: Tensor) -> None:
            note(learner, loss)
            if learner.done % every == 0:
                parts = _parts(learner.averaged, vae, words)
                _draw(parts, shown, self.work / f"samples-{learner.done:06}.png")

        return learn(lesson, on_step)

    def _material(self, data: Dataset, vae: AutoencoderKL, words: CLIPTokenizer) -> Material:
        mean, deviation = autoencoder.latents_of(vae, data.pictures)
        tokens = diffusion.tokens_of(words, wordings(data)).unflatten(0, (-1, READINGS))
        return Material(mean, deviation, tokens, silence=diffusion.tokens_of(words, [""])[0])

    def _reader(self, material: Material, words: CLIPTokenizer) -> nn.Module:
        """Return a text encoder that recalls the pictures of its captions."""
        state = self.state("text")
        lesson = recalling.lesson(self.preset, material, words, state, self.device)
        return learn(lesson, self._noted("text encoder", self.preset.text.steps))["text"]

    def state(self, stage: str) -> Path:
        """Return where the training state of a stage is kept."""
        return self.work / f"{stage}-{self.preset.side}.safetensors"

    def _noted(self, stage: str, total: int) -> Callable[[Learner, Tensor], None]:
        path = self.work / f"{stage.lower().replace(' ', '-')}-losses.csv"
        losses: list[Tensor] = []

        def note(learner: Learner, loss: Tensor) -> None:
            losses.append(loss)
            if learner.done % NOTE_EVERY and learner.done < total:
                return
            mean = float(torch.stack(losses).mean())
            losses.clear()
            self.progress(stage, learner.done, total, f"loss {mean:.3f}")
            with path.open("a") as file:
                file.write(f"{learner.done},{mean:.5f}\n")

        return note


def _parts(networks: nn.ModuleDict, vae: AutoencoderKL, words: CLIPTokenizer) -> Parts:
    unet: Any = networks["unet"]
    text: Any = networks["text"]
    return Parts(vae, unet.eval(), text.eval(), words)


def _draw(parts: Parts, captions: list[str], path: Path) -> None:
    pictures = generate(parts.model(path.parent), captions, range(len(captions)), _quietly)
    path.write_bytes(to_png(grid_sheet(pictures)))


def _quietly(_done: int, _total: int) -> None:
    """Report nothing: a few samples take seconds."""


def wordings(data: Dataset) -> list[str]:
    """Return READINGS captions of every picture, one picture after the other; always the same."""
    rng = np.random.default_rng(SEED)
    return [caption(entry, rng) for entry in data.entries for _ in range(READINGS)]
