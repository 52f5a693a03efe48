from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from schedules.rules import deepcache
from tests.rendering import a_frame, is_untouched, some_prompts
from workers.evaluating.methods import Method, Subject, take
from workers.evaluating.peers import PEERS, Peer, plain

if TYPE_CHECKING:
    from workers.pipeline import Model

UNCACHED = PEERS[0]
CACHES = [peer for peer in PEERS if peer.group != "uncached"]


@pytest.fixture(params=CACHES, ids=lambda peer: peer.name)
def peer(request: pytest.FixtureRequest) -> Peer:
    """Return each peer in turn; skips the test where its package is absent."""
    found: Peer = request.param
    if not found.is_installed:
        pytest.skip(f"{found.package} is not installed")
    return found


def latents(model: Model, peer: Peer, steps: int = 6) -> torch.Tensor:
    frame = a_frame(model, steps)
    subject = Subject.of(model, some_prompts(7)[0], frame)
    return take(model, Method("", "", frame, peer.enable), subject).latents


def test_a_peer_changes_the_picture_and_leaves_the_unet_as_it_was(model: Model, peer: Peer) -> None:
    modules = [dict(module.__dict__) for module in model.pipe.unet.modules()]
    uncached = latents(model, UNCACHED)

    assert torch.isfinite(latents(model, peer)).all()
    assert is_untouched(model.pipe.unet)
    assert [dict(module.__dict__) for module in model.pipe.unet.modules()] == modules
    assert torch.equal(latents(model, UNCACHED), uncached)


def test_a_peer_makes_the_same_picture_again(tiny: Model, peer: Peer) -> None:
    assert torch.equal(latents(tiny, peer), latents(tiny, peer))


def test_a_peer_reuses_something(emoji: Model, peer: Peer) -> None:
    assert not torch.equal(latents(emoji, peer, 12), latents(emoji, UNCACHED, 12))


def test_deepcache_is_what_its_schedule_here_computes(emoji: Model) -> None:
    three = next(peer for peer in PEERS if peer.interval == 3)
    if not three.is_installed:
        pytest.skip("DeepCache is not installed")
    frame = a_frame(emoji, deepcache(6, emoji.units.graph, 3))
    subject = Subject.of(emoji, some_prompts(7)[0], frame)
    here = take(emoji, Method("", "", frame), subject).latents

    torch.testing.assert_close(latents(emoji, three), here)


def test_a_peer_whose_package_is_absent_says_so() -> None:
    assert not Peer("none", "none", plain, package="no_such_package").is_installed
    assert Peer("here", "here", plain).is_installed
