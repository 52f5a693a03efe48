"""Other caches for diffusers UNets, as their authors publish them, switched on for one picture.

None is switched off again: whoever runs them puts the UNet back as it was (`methods.restored`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from workers.evaluating.whole_steps import THRESHOLD, StepReuse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workers.evaluating.methods import Enable

# T-GATE's authors stop at step 10 of 25, with these intervals.
GATE_SHARE = 0.4
GATING = {"sp_interval": 5, "fi_interval": 1, "warm_up": 2}
# Pyramid Attention Broadcast's authors let self-attention rest every other step, and
# cross-attention five of six, in this range of timesteps.
SPATIAL_RANGE, CROSS_RANGE = 2, 6
# AdaptiveDiffusion's threshold is for 50 steps; with fewer, latents move less smoothly.
THRESHOLDS = (THRESHOLD, 5 * THRESHOLD)


@dataclass(frozen=True, slots=True)
class Peer:
    """A method of others. `package` is the distribution it comes in, None where it comes here.

    `interval` is DeepCache's, from which follows what it computes.
    """

    name: str
    group: str
    enable: Enable
    package: str | None = None
    interval: int | None = None

    @property
    def is_installed(self) -> bool:
        """Whether its package can be imported."""
        return self.package is None or find_spec(self.package) is not None


def plain(pipe: Any) -> Any:
    """Change nothing: the pipeline's own uncached loop."""
    return pipe


def deepcache(interval: int) -> Enable:
    """Return DeepCache that computes the whole UNet every `interval`-th step (Ma et al., 2024)."""

    def enable(pipe: Any) -> Any:
        from DeepCache import DeepCacheSDHelper

        cache = DeepCacheSDHelper(pipe=pipe)
        cache.set_params(cache_interval=interval, cache_branch_id=0)
        cache.enable()
        return pipe

    return enable


def tgate(pipe: Any) -> Any:
    """Freeze cross-attention and drop guidance from the gate step on (Liu et al., TMLR 2025)."""
    from tgate import TgateSDLoader, TgateSDXLLoader

    loaders = {
        "StableDiffusionPipeline": TgateSDLoader,
        "StableDiffusionXLPipeline": TgateSDXLLoader,
    }
    loaders[type(pipe).__name__](pipe)

    def call(*, num_inference_steps: int, **inputs: Any) -> Any:
        gate = round(GATE_SHARE * num_inference_steps)
        return pipe.tgate(
            num_inference_steps=num_inference_steps, gate_step=gate, **GATING, **inputs
        )

    return call


def attention_broadcast(pipe: Any) -> Any:
    """Let diffusers' hooks give attention outputs again (PAB, Zhao et al., ICLR 2025)."""
    from diffusers.hooks import (
        PyramidAttentionBroadcastConfig,
        apply_pyramid_attention_broadcast,
    )

    now = _Timestep(pipe.scheduler)
    pipe.unet.forward = now.followed_by(pipe.unet.forward)
    config = PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=SPATIAL_RANGE,
        cross_attention_block_skip_range=CROSS_RANGE,
        current_timestep_callback=lambda: now.value,
    )
    apply_pyramid_attention_broadcast(pipe.unet, config)
    return pipe


class _Timestep:
    """The timestep of the UNet call at hand, with no wait for the device after the first."""

    def __init__(self, scheduler: Any) -> None:
        self._all = self._of(scheduler)
        self.value = 0.0

    @staticmethod
    def _of(scheduler: Any) -> Iterator[float]:
        yield from scheduler.timesteps.tolist()

    def followed_by(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.value = next(self._all)
            return forward(*args, **kwargs)

        return call


def whole_step_reuse(threshold: float) -> Enable:
    """Return AdaptiveDiffusion's rule around the UNet call."""

    def enable(pipe: Any) -> Any:
        pipe.unet.forward = StepReuse(pipe.unet.forward, threshold)
        return pipe

    return enable


PEERS = (
    Peer("uncached, diffusers' loop", "uncached", plain),
    *(Peer(f"DeepCache, N = {n}", "DeepCache", deepcache(n), "DeepCache", n) for n in (2, 3, 5)),
    Peer("T-GATE", "T-GATE", tgate, "tgate"),
    Peer("PAB", "PAB", attention_broadcast),
    *(
        Peer(f"whole steps, {threshold:g}", "whole steps", whole_step_reuse(threshold))
        for threshold in THRESHOLDS
    ),
)
