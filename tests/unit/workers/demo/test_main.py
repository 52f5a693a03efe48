from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from workers.demo.__main__ import main
from workers.demo.dataset import Dataset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def same_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("command", ["make", "measure"])
def test_help_shows_an_example(command: str) -> None:
    done = CliRunner().invoke(main, [command, "--help"])

    assert done.exit_code == 0
    assert f"python -m workers.demo {command} --preset cpu" in done.output


def test_what_cannot_be_used_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "pictures-64.safetensors").write_bytes(b"no pictures")

    done = CliRunner().invoke(
        main, ["make", "--preset", "cpu", "--work", str(tmp_path), "--out", str(tmp_path / "out")]
    )

    assert done.exit_code == 1
    assert "is not a dataset of pictures" in done.output
    assert "Traceback" not in done.output


def test_an_unknown_preset_is_answered_with_those_there_are() -> None:
    done = CliRunner().invoke(main, ["make", "--preset", "huge", "--out", "x"])

    assert done.exit_code == 2
    assert "cpu" in done.output


def test_a_stopped_run_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_path: Path) -> Dataset:
        raise KeyboardInterrupt

    (tmp_path / "pictures-64.safetensors").touch()
    monkeypatch.setattr(Dataset, "load", stop)

    done = CliRunner().invoke(main, ["make", "--work", str(tmp_path), "--out", str(tmp_path / "o")])

    assert done.exit_code == 1
    assert f"goes on from {tmp_path}" in done.output.replace("\n", "")
