"""Secrets from files and the store's password."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from app.environment import resolve, resolved
from app.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

URL = "BLOCKCACHE_STORE_URL"
PASSWORD = "BLOCKCACHE_STORE_PASSWORD"  # noqa: S105 the variable's name


def test_a_variable_may_name_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://store\n")

    assert resolved({f"{URL}_FILE": str(tmp_path / "url"), "PATH": "x"}) == {URL: "redis://store"}


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("redis://store:6379/0", "redis://:p%40ss%2F@store:6379/0"),
        ("rediss://user@store", "rediss://user:p%40ss%2F@store"),
        ("redis://:other@store", "redis://:other@store"),
        ("unix:///run/store", "unix:///run/store"),
        ("redis://[bad", "redis://[bad"),
    ],
)
def test_the_password_goes_into_a_url_that_has_none(url: str, whole: str) -> None:
    assert resolved({URL: url, PASSWORD: "p@ss/"})[URL] == whole


def test_the_password_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    environment = {URL: "redis://store", f"{PASSWORD}_FILE": str(tmp_path / "password")}

    assert resolved(environment)[URL] == "redis://:secret@store"


@pytest.mark.parametrize(
    ("name", "content"), [("none", None), ("empty", ""), ("big", "x" * 70_000)]
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, content: str | None
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)

    with pytest.raises(SettingsError, match=f"{PASSWORD}_FILE: .*{name}"):
        resolved({f"{PASSWORD}_FILE": str(tmp_path / name)})


def test_a_variable_and_its_file_contradict_each_other(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://store")

    with pytest.raises(SettingsError, match=f"{URL} and {URL}_FILE are both set"):
        resolved({URL: "redis://other", f"{URL}_FILE": str(tmp_path / "url")})


def test_child_processes_find_everything_resolved(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    environment = {URL: "redis://store", f"{PASSWORD}_FILE": str(tmp_path / "password")}
    resolve(environment)
    first = dict(environment)
    resolve(environment)

    assert environment == first == {URL: "redis://:secret@store", PASSWORD: "secret"}


def test_a_command_says_in_one_line_which_file_it_cannot_read() -> None:
    environment = {**os.environ, f"{PASSWORD}_FILE": "/nowhere/at/all"}
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "gateway"], env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {PASSWORD}_FILE: cannot read /nowhere/at/all")
    assert len(done.stderr.splitlines()) == 1


def test_nothing_to_resolve_changes_nothing() -> None:
    assert resolved({URL: "redis://store", "BLOCKCACHE_KEYS_FILE": "/nowhere"}) == {}
