"""Real models on a GPU, in the precision a worker chooses there."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.tiny_models import load_tiny

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.pipeline import Model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Model]:
    """Return what loads a model by name onto the GPU: emoji, sd1, sd2 or sdxl."""
    parent = tmp_path_factory.mktemp("models")
    return cache(lambda name: load_tiny(name, parent, device="cuda"))


@pytest.fixture(params=["emoji", "sd1", "sd2", "sdxl"])
def model(request: pytest.FixtureRequest, models: Callable[[str], Model]) -> Model:
    """Return each model in turn."""
    return models(request.param)
