from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from schedules.rules import deepcache, uniform
from tests.corrections import a_correction, no_correction
from tests.rendering import a_frame, is_untouched, latents_of, some_prompts
from workers.errors import CalibrationError
from workers.training import Training, TrainingSettings, relative_error
from workers.training_files import resume, save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from schedules.schedule import Schedule
    from schedules.units import UnitGraph
    from workers.pipeline import Model
    from workers.sampler import Frame

TEXTS = ("a red apple", "a green pear", "a blue car")


@pytest.fixture
def frame(tiny: Model) -> Frame:
    return a_frame(tiny, uniform(4, tiny.units.graph, 2))


def training(model: Model, frame: Frame, rate: float = 1e-2) -> Training:
    return Training(model, frame, TEXTS, TrainingSettings(batch=2, learning_rate=rate))


def test_training_starts_from_what_changes_nothing(tiny: Model, frame: Frame) -> None:
    assert training(tiny, frame).correction == no_correction(tiny, frame, "trained")


def test_training_goes_on_from_the_correction_of_its_frame(tiny: Model, frame: Frame) -> None:
    fitted = a_correction(tiny, frame, "two-tap")
    learner = training(tiny, replace(frame, correction=fitted))

    assert learner.correction.origin.kind == "two-tap-trained"
    assert learner.correction.terms.keys() == fitted.terms.keys()
    for name, terms in learner.correction.terms.items():
        assert torch.equal(terms, fitted.terms[name])
    assert learner.run(1) != learner.run(1)


@pytest.mark.parametrize("rule", [uniform, deepcache])
@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl"])
def test_training_lowers_the_loss(
    models: Callable[[str], Model], name: str, rule: Callable[[int, UnitGraph, int], Schedule]
) -> None:
    model, losses = models(name), list[float]()
    learner = training(model, a_frame(model, rule(3, model.units.graph, 2)))
    learner.run(12, lambda _done, loss: losses.append(loss))
    learner.iteration = 0  # the first pictures again
    learner.run(1, lambda _done, loss: losses.append(loss))

    assert losses[-1] < 0.98 * losses[0]


def test_trained_pictures_come_closer_to_the_uncached_ones(tiny: Model, frame: Frame) -> None:
    correction = training(tiny, frame).run(15)
    prompts = some_prompts(101, 102, 103)
    wanted, _ = latents_of(tiny, a_frame(tiny, 4), prompts)
    plain, _ = latents_of(tiny, frame, prompts)
    corrected, _ = latents_of(tiny, replace(frame, correction=correction), prompts)

    assert (corrected - wanted).norm() < (plain - wanted).norm()


def test_only_the_correction_is_trained(tiny: Model, frame: Frame) -> None:
    unet = tiny.pipe.unet
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    training(tiny, frame).run(1)

    assert all(torch.equal(unet.state_dict()[name], value) for name, value in before.items())
    assert all(parameter.grad is None for parameter in unet.parameters())
    assert is_untouched(unet)


def test_a_resumed_training_is_as_if_never_interrupted(
    tiny: Model, frame: Frame, tmp_path: Path
) -> None:
    whole = training(tiny, frame)
    expected = whole.run(3)
    first, second = training(tiny, frame), training(tiny, frame)
    first.run(2)
    save(first, tmp_path / "state")
    resume(second, tmp_path / "state")

    assert second.run(1) == expected
    assert second.iteration == 3


def test_a_training_can_be_saved_before_it_began(tiny: Model, frame: Frame, tmp_path: Path) -> None:
    save(training(tiny, frame), tmp_path / "state")
    second = training(tiny, frame)
    resume(second, tmp_path / "state")

    assert second.run(1) == training(tiny, frame).run(1)


def test_the_state_of_another_training_is_refused(
    tiny: Model, frame: Frame, tmp_path: Path
) -> None:
    save(training(tiny, frame), tmp_path / "state")
    other = training(tiny, replace(frame, solver="dpmpp_2m"))

    with pytest.raises(CalibrationError, match="another model, solver or schedule"):
        resume(other, tmp_path / "state")


def test_a_file_that_is_no_state_is_refused(tiny: Model, frame: Frame, tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"nothing")
    no_correction(tiny, frame, "trained").save(tmp_path / "correction")

    for name in ("state", "correction", "gone"):
        with pytest.raises(CalibrationError, match=f"{name} is not the state of a training"):
            resume(training(tiny, frame), tmp_path / name)


def test_the_error_is_relative_to_what_is_wanted() -> None:
    wanted = torch.full((2, 3), 10.0)

    assert relative_error(wanted * 1.1, wanted).item() == pytest.approx(0.01)
    assert relative_error(wanted, wanted).item() == 0.0
