"""The packages the pictures and words come from: fetched by name and verified by hash.

| package                   | what                 | licence                            |
|---------------------------|----------------------|------------------------------------|
| `@lobehub/fluent-emoji-3d`| pictures, style 3d   | MIT, Microsoft                     |
| `fonts-noto-color-emoji`  | pictures, style noto | OFL 1.1, Google (Debian package)   |
| `@twemoji/svg`            | pictures, style flat | CC-BY 4.0, Twitter; packaging: MIT |
| `emoji-datasource-google` | groups of emoji      | MIT, Cal Henderson                 |
| `emojilib`                | names and keywords   | MIT, Mu-An Chiou                   |
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from workers.demo.errors import DownloadFailed, ToolMissing, WrongFile

if TYPE_CHECKING:
    from collections.abc import Callable

TIMEOUT = 900.0


@dataclass(frozen=True, slots=True)
class Package:
    """One version of a package on npm and the SHA-512 of its archive, in hexadecimal."""

    name: str
    version: str
    sha512: str

    @property
    def file(self) -> str:
        """What its archive is called on disk."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


FLUENT = Package(
    "@lobehub/fluent-emoji-3d",
    "1.1.0",
    "5a5ab69554ad4e7afc043a48274a449d328ee0bb83c71a931214ef46d0f50cb4"
    "45d267bba207914232a87a10c75ee549d9069e720979c1106feb4954006de1ee",
)
TWEMOJI = Package(
    "@twemoji/svg",
    "15.0.0",
    "6523de7f607a9c16989df81d4db032e23816f79a3ba62db13c6c06094f96313c"
    "68ec9e81d6530f4d6c12abfc13ba232af8dd24850f7409cbd8a75c05a10a68ff",
)
GROUPS = Package(
    "emoji-datasource-google",
    "16.0.0",
    "6517b17f3b3b315a0b9e6cd998db0ee132a19c0269e43fbe566e8fa54a47fe31"
    "104257a6a7797cf028d9f83a19d9f68cf51e10c5990e3c90a84fc0e53e17d0dc",
)
WORDS = Package(
    "emojilib",
    "4.0.3",
    "29b5a262b7bd69149a3db1eb1d9233f739a833edb52c0b0ad55149b674e1d550"
    "ad584feb34c0ef8868504e6b1e94597de5d86ab46958db6887d25786e41b96d2",
)

FONT_PACKAGE = "fonts-noto-color-emoji"
FONT_FILE = "NotoColorEmoji.ttf"
# Each Debian release has its own version, so several fonts may be right. By SHA-256.
FONTS = {
    "e5899ed38b8ed83e08bd3ac5de09791e9d19d288333a796de1d35ad17396f1ec": "2.042, Debian 12",
}


def fetch(package: Package, folder: Path) -> Path:
    """Return the verified archive of an npm package in `folder`, fetching it if it is not there.

    Raises ToolMissing, DownloadFailed or WrongFile in one sentence.
    """

    def check(path: Path) -> None:
        digest = _digest(path, "sha512")
        if digest != package.sha512:
            pinned = f"{package.name}@{package.version}"
            raise WrongFile(f"{path.name} is not the pinned {pinned}: its SHA-512 is {digest}")

    return _once(folder / package.file, check, lambda part: _pack(package, part))


def fetch_font(folder: Path) -> Path:
    """Return the verified Noto Color Emoji font in `folder`, fetching it if it is not there.

    Raises ToolMissing, DownloadFailed or WrongFile in one sentence.
    """
    return _once(folder / FONT_FILE, _check_font, _unpack_font)


def contents(archive: Path, *suffixes: str) -> dict[str, bytes]:
    """Return the files of an npm archive that end in one of `suffixes`, by path in the package.

    Nothing is unpacked to disk.
    """
    with tarfile.open(archive) as tar:
        wanted = (member for member in tar if member.isfile() and member.name.endswith(suffixes))
        opened = ((member.name.partition("/")[2], tar.extractfile(member)) for member in wanted)
        return {name: file.read() for name, file in opened if file is not None}


def _once(path: Path, check: Callable[[Path], None], get: Callable[[Path], Path]) -> Path:
    """Return `path`, checked, and made by `get` in a folder given to it if it is not there."""
    if path.is_file():
        check(path)
        return path
    try:
        _make(path, check, get)
    except OSError as error:
        raise DownloadFailed(f"cannot keep {path}: {error.strerror or error}") from error
    return path


def _make(path: Path, check: Callable[[Path], None], get: Callable[[Path], Path]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".part-", dir=path.parent) as part:
        got = get(Path(part))
        check(got)
        got.replace(path)


def _pack(package: Package, part: Path) -> Path:
    name = f"{package.name}@{package.version}"
    _run("npm", "pack", name, "--ignore-scripts", "--cache", "cache", folder=part)
    return _only(part, "*.tgz", name)


def _unpack_font(part: Path) -> Path:
    try:
        _run("apt-get", "download", FONT_PACKAGE, folder=part)
    except DownloadFailed:  # a fresh machine or container has no package lists yet
        _run("apt-get", "update", folder=part)
        _run("apt-get", "download", FONT_PACKAGE, folder=part)
    archive = _only(part, "*.deb", FONT_PACKAGE)
    _run("dpkg-deb", "-x", archive.name, "unpacked", folder=part)
    return _only(part, f"unpacked/**/{FONT_FILE}", FONT_PACKAGE)


def _check_font(path: Path) -> None:
    digest = _digest(path, "sha256")
    if digest not in FONTS:
        known = ", ".join(f"{sha} ({version})" for sha, version in FONTS.items())
        raise WrongFile(f"{path.name} has SHA-256 {digest}, which is none of the accepted: {known}")


def _only(folder: Path, pattern: str, name: str) -> Path:
    found = next(folder.glob(pattern), None)
    if found is None:
        raise DownloadFailed(f"{name} was fetched but has no {pattern.rpartition('/')[2]}")
    return found


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _run(program: str, *arguments: str, folder: Path) -> None:
    found = shutil.which(program)
    if found is None:
        raise ToolMissing(f"{program} is needed to fetch the pictures and is not installed")
    command = (found, *arguments)
    try:
        # Every argument is a constant of this module and no shell sees it.
        subprocess.run(  # noqa: S603
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise DownloadFailed(f"{program} {arguments[0]} took over {TIMEOUT:.0f} s") from error
    except subprocess.CalledProcessError as error:
        raise DownloadFailed(
            f"{program} {' '.join(arguments[:2])} failed: {_complaint(error.stderr)}"
        ) from error


def _complaint(output: str) -> str:
    """Return the line of an error output that says most."""
    lines = [re.sub(r"^npm (ERR!|error) ", "", line.strip()) for line in output.splitlines()]
    told = [line for line in lines if line and not line.startswith(("code ", "npm "))]
    telling = [line for line in told if "reason:" in line or line.startswith("E:")]
    return (telling or told or ["no reason given"])[0]
