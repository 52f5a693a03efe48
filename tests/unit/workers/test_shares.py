from __future__ import annotations

import pytest
import torch

from schedules.units import Role
from tests.rendering import is_untouched
from tests.tiny_models import emu_twin
from workers.shapes import unet_of
from workers.shares import Shares, mac_shares


def shares_of(shape: str, side: int) -> Shares:
    with torch.device("meta"):
        return mac_shares(unet_of(shape), side)


@pytest.mark.parametrize(
    ("shape", "side", "billions", "transformers"),
    [("sd15", 64, 401.6, 0.479), ("sd15", 96, 1074, 0.562), ("sdxl", 128, 3381, 0.760)],
)
def test_known_models_have_known_shares(
    shape: str, side: int, billions: float, transformers: float
) -> None:
    shares = shares_of(shape, side)

    assert shares.macs / 1e9 == pytest.approx(billions, rel=1e-3)
    assert shares.of[Role.TRANSFORMER] == pytest.approx(transformers, abs=1e-3)


def test_a_wide_deep_unet_computes_mostly_in_transformers_and_resnets() -> None:
    shares = shares_of("emu", 96)

    assert shares.of[Role.TRANSFORMER] > shares.of[Role.RESNET] > 0.35
    assert 0.99 < sum(shares.of.values()) < 1


def test_only_roles_that_do_work_have_a_share() -> None:
    shares = mac_shares(emu_twin(), 16)

    assert shares.of.keys() == {Role.TRANSFORMER, Role.RESNET, Role.SAMPLER}


def test_counting_leaves_nothing_behind() -> None:
    unet = emu_twin()
    mac_shares(unet, 16)

    assert is_untouched(unet)
    assert not any(module._forward_pre_hooks for module in unet.modules())
