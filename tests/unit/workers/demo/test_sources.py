from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from workers.demo import sources
from workers.demo.errors import DownloadFailed, ToolMissing, WrongFile
from workers.demo.sources import Package, contents, fetch, fetch_font

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    StandIn = Callable[[Path], object]
    Install = Callable[[StandIn], Path]

ARCHIVE = b"an archive"
PACKAGE = Package("@room/pictures", "1.2.3", hashlib.sha512(ARCHIVE).hexdigest())


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every program away."""
    monkeypatch.setenv("PATH", "")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Install:
    """Return what lets a function of the working folder stand for all programs."""

    def install(stand_in: StandIn) -> Path:
        monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
        monkeypatch.setattr(subprocess, "run", lambda *_, cwd, **__: stand_in(cwd))
        return tmp_path

    return install


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_a_verified_archive_is_not_fetched_again(tmp_path: Path) -> None:
    there = tmp_path / "room-pictures-1.2.3.tgz"
    there.write_bytes(ARCHIVE)

    assert fetch(PACKAGE, tmp_path) == there


def test_an_archive_of_another_hash_is_refused(tmp_path: Path) -> None:
    (tmp_path / PACKAGE.file).write_bytes(b"something else")

    with pytest.raises(WrongFile, match=r"not the pinned @room/pictures@1\.2\.3"):
        fetch(PACKAGE, tmp_path)


def test_a_missing_npm_is_named(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="npm is needed"):
        fetch(PACKAGE, tmp_path)


def test_a_fetched_archive_is_all_that_stays(program: Install) -> None:
    folder = program(lambda part: (part / "whatever.tgz").write_bytes(ARCHIVE))

    assert fetch(PACKAGE, folder).read_bytes() == ARCHIVE
    assert [path.name for path in folder.iterdir()] == [PACKAGE.file]


def test_a_wrong_download_leaves_nothing(program: Install) -> None:
    folder = program(lambda part: (part / "whatever.tgz").write_bytes(b"half"))

    with pytest.raises(WrongFile):
        fetch(PACKAGE, folder)
    assert list(folder.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(program: Install) -> None:
    def interrupted(part: Path) -> None:
        (part / "whatever.tgz").write_bytes(b"half")
        raise KeyboardInterrupt

    folder = program(interrupted)

    with pytest.raises(KeyboardInterrupt):
        fetch(PACKAGE, folder)
    assert list(folder.iterdir()) == []


def test_why_npm_failed_is_said_in_one_line(program: Install) -> None:
    said = "npm notice hello\nnpm error code X\nnpm error request failed, reason: no network\nmore"

    def failing(part: Path) -> None:
        raise subprocess.CalledProcessError(1, "npm", stderr=said)

    folder = program(failing)

    with pytest.raises(DownloadFailed) as caught:
        fetch(PACKAGE, folder)
    assert str(caught.value) == (
        "npm pack @room/pictures@1.2.3 failed: request failed, reason: no network"
    )


def test_a_program_that_never_ends_is_a_failed_download(program: Install) -> None:
    def hanging(part: Path) -> None:
        raise subprocess.TimeoutExpired("npm", 900)

    folder = program(hanging)

    with pytest.raises(DownloadFailed, match="npm pack took over 900 s"):
        fetch(PACKAGE, folder)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DownloadFailed, match=r"cannot keep .*room-pictures"):
        fetch(PACKAGE, tmp_path / "file" / "folder")


def test_a_package_without_an_archive_is_a_failed_download(program: Install) -> None:
    folder = program(lambda _: None)

    with pytest.raises(DownloadFailed, match=r"has no \*\.tgz"):
        fetch(PACKAGE, folder)


def test_an_accepted_font_is_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "FONTS", {hashlib.sha256(b"font").hexdigest(): "1.0"})
    (tmp_path / "NotoColorEmoji.ttf").write_bytes(b"font")

    assert fetch_font(tmp_path).read_bytes() == b"font"


def test_another_font_is_refused_with_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "NotoColorEmoji.ttf").write_bytes(b"font")

    with pytest.raises(WrongFile, match=hashlib.sha256(b"font").hexdigest()):
        fetch_font(tmp_path)


def test_package_lists_are_fetched_when_there_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[str] = []

    def stand_in(command: tuple[str, ...], *, cwd: Path, **_: object) -> None:
        calls.append(command[1])
        if calls == ["download"]:
            raise subprocess.CalledProcessError(100, command, stderr="E: Unable to locate package")
        (cwd / "fonts.deb").touch()
        (cwd / "unpacked").mkdir(exist_ok=True)
        (cwd / "unpacked" / "NotoColorEmoji.ttf").write_bytes(b"font")

    monkeypatch.setattr(sources, "FONTS", {hashlib.sha256(b"font").hexdigest(): "1.0"})
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", stand_in)

    assert fetch_font(tmp_path).read_bytes() == b"font"
    assert calls == ["download", "update", "download", "-x"]


def test_only_files_of_the_wanted_kind_are_read(tmp_path: Path) -> None:
    files = {"package/a.svg": b"<svg/>", "package/deep/b.svg": b"<b/>", "package/c.png": b"png"}

    found = contents(archive(tmp_path / "a.tgz", files), ".svg")

    assert found == {"a.svg": b"<svg/>", "deep/b.svg": b"<b/>"}


def test_the_pins_are_whole_hashes() -> None:
    pins = (sources.FLUENT, sources.TWEMOJI, sources.GROUPS, sources.WORDS)

    assert [len(bytes.fromhex(package.sha512)) for package in pins] == [64] * 4
    assert {len(bytes.fromhex(digest)) for digest in sources.FONTS} == {32}
