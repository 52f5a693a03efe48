"""Keys of a file that changes while they are in use."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from app.errors import SettingsError
from app.keyring import LOOK_EVERY_S, Keyring
from app.keys import new_key

if TYPE_CHECKING:
    from pathlib import Path

    from app.keys import ApiKey

_, ALICE = new_key("alice")
_, BOB = new_key("bob")
_, CAROL = new_key("carol")


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def go_on(self) -> None:
        self.now_s += LOOK_EVERY_S


def in_force(ring: Keyring) -> tuple[ApiKey, ...]:
    return ring.keys


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.txt"
    path.write_text(BOB.line)
    return path


@pytest.fixture
def ring(file: Path, clock: Clock) -> Keyring:
    return Keyring([ALICE], file, clock)


def test_keys_of_the_settings_stand_beside_those_of_the_file(ring: Keyring) -> None:
    assert in_force(ring) == (ALICE, BOB)


def test_a_file_that_changed_is_read_again(ring: Keyring, file: Path, clock: Clock) -> None:
    file.write_text(f"{BOB.line}\n{CAROL.line}\n")
    assert in_force(ring) == (ALICE, BOB)
    clock.go_on()

    assert in_force(ring) == (ALICE, BOB, CAROL)


def test_a_file_that_was_put_in_its_place_is_read(ring: Keyring, file: Path, clock: Clock) -> None:
    other = file.with_name("new.txt")
    other.write_text(CAROL.line)
    other.replace(file)
    clock.go_on()

    assert in_force(ring) == (ALICE, CAROL)


@pytest.mark.parametrize("content", ["bob sha256:short", "", "# none"])
def test_a_broken_file_keeps_the_old_keys_and_the_log_says_so_once(
    ring: Keyring, file: Path, clock: Clock, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    file.write_text(content)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            clock.go_on()
            assert in_force(ring) == (ALICE, BOB)

    (record,) = caplog.records
    assert str(file) in record.message


def test_a_file_that_is_gone_keeps_the_keys_until_it_is_back(
    ring: Keyring, file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    file.unlink()
    clock.go_on()
    assert in_force(ring) == (ALICE, BOB)
    assert "cannot be read" in caplog.text
    file.write_text(CAROL.line)
    clock.go_on()

    assert in_force(ring) == (ALICE, CAROL)


def test_a_file_that_is_wrong_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        Keyring([], tmp_path / "nowhere")
