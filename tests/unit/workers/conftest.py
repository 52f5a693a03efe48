"""Real models for tests: the bundled one and tiny random ones of every family, loaded once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.recorder import Recorder
from tests.tiny_models import load_tiny
from workers.graphs import Graphs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workers.pipeline import Model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Model]:
    """Return what loads a model by name: emoji-small, sd1, sd2 or sdxl."""
    parent: Path = tmp_path_factory.mktemp("models")
    return cache(lambda name: load_tiny(name, parent))


@pytest.fixture(params=["emoji-small", "sd1", "sd2", "sdxl"])
def model(request: pytest.FixtureRequest, models: Callable[[str], Model]) -> Model:
    """Return each model in turn."""
    return models(request.param)


@pytest.fixture
def tiny(models: Callable[[str], Model]) -> Model:
    """Return one tiny model, where the family does not matter."""
    return models("sd1")


@pytest.fixture
def emoji(models: Callable[[str], Model]) -> Model:
    """Return the smaller bundled model."""
    return models("emoji-small")


@pytest.fixture
def graphs(tiny: Model) -> Graphs:
    """Return graphs on which nothing has run."""
    return Graphs(Recorder(tiny.pipe.unet))
