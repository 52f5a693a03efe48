"""How each command in the documents is checked: run for real, or at least for what it names.

Every command is matched by one line of `CHECKS`, the first that fits.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import yaml

from app.cli import blockcache
from tests.bench.__main__ import main as bench
from tests.docs.pages import ROOT, rows
from workers.demo.__main__ import main as demo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.docs.pages import Command

BASH, MAKE = (shutil.which(name) or name for name in ("bash", "make"))
ASSIGNED = re.compile(r"^([A-Z_]+=\S+ )+")
URL = "http://127.0.0.1:8000"
PRELUDE = """
set -euo pipefail
blockcache() { "$PYTHON" -m app.cli "$@"; }
"""
MANIFESTS = ROOT / "deploy" / "k8s"


@dataclass(frozen=True, slots=True)
class Place:
    """Where commands run: a folder of their own, a live service, and a job of it."""

    folder: Path
    url: str
    job: str


@dataclass(frozen=True, slots=True)
class Check:
    """Which commands are checked how, and why not by running them if they are not run."""

    pattern: str
    check: Callable[[str, Place], None]
    why: str = ""


def checked(command: Command) -> Check:
    """Return the check of a command; fails for one that nobody thought of."""
    bare = ASSIGNED.sub("", command.text)
    found = next((one for one in CHECKS if re.match(one.pattern, bare)), None)
    assert found, f"{command.name}: say in CHECKS how this is checked"
    return found


def run_for_real(text: str, place: Place) -> None:
    program = text.replace(URL, place.url).replace(".venv/bin/blockcache", "blockcache")
    done = subprocess.run(
        [BASH, "-c", PRELUDE + program],
        cwd=place.folder, env=environment(place), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    for written in re.findall(r"(?:-o|>>|--csv|--votes-csv) (\S+)", text):
        assert (place.folder / written).stat().st_size > 0, written


def environment(place: Place) -> dict[str, str]:
    # curl ends with an error where the service answers with one.
    (place.folder / ".curlrc").write_text("fail\n")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(place.folder),
        "CURL_HOME": str(place.folder),
        "PYTHON": sys.executable,
        "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
        "BLOCKCACHE_URL": place.url,
        "BLOCKCACHE_KEY": "none",
        "ID": place.job,
    }


def parse_flags(text: str, place: Place) -> None:
    _parse(blockcache, _words(text)[1:], place)


def parse_demo_flags(text: str, place: Place) -> None:
    _parse(demo, _words(text)[3:], place)


def parse_bench_flags(text: str, place: Place) -> None:
    _parse(bench, _words(text)[3:], place)


def _words(text: str) -> list[str]:
    words = shlex.split(ASSIGNED.sub("", text), comments=True)
    return words[: words.index(">>")] if ">>" in words else words


def _parse(command: click.Command, words: list[str], place: Place) -> None:
    """Parse as a run would, to the last value, and stop there."""
    before = os.getcwd()  # noqa: PTH109 what is named relative to it must exist
    os.chdir(place.folder)
    try:
        context = command.make_context("example", list(words))
        if isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            _, found, left = command.resolve_command(context, rest)
            assert found is not None
            _parse(found, left, place)
    finally:
        os.chdir(before)


def make_dry(text: str, _place: Place) -> None:
    target = text.split()[1:]
    done = subprocess.run(
        [MAKE, "--dry-run", *target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def write_secrets(_text: str, place: Place) -> None:
    subprocess.run([ROOT / "deploy/secrets"], cwd=place.folder, check=True, capture_output=True)
    assert len(list((place.folder / "secrets").iterdir())) == 3


def compose_names(text: str, _place: Place) -> None:
    assert all((ROOT / name).is_file() for name in re.findall(r" -f (\S+)", text))
    described = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    profiles = {p for one in described["services"].values() for p in one.get("profiles", ())}
    assert set(re.findall(r"--profile (\S+)", text)) <= profiles
    assert set(re.findall(r"--scale (\S+)=", text)) <= set(described["services"])
    variables = re.findall(r"([A-Z_]+)=", text)
    assert set(variables) <= set(
        re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text())
    )


def build_names(text: str, _place: Place) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    for target in re.findall(r"--target (\S+)", text):
        assert f" AS {target}\n" in dockerfile
    for argument in re.findall(r"--build-arg (\w+)=", text):
        assert f"ARG {argument}=" in dockerfile


def key_by_image(text: str, place: Place) -> None:
    image, _, command = text.removeprefix("docker run --rm ").partition(" ")
    described = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    assert described["services"]["gateway"]["image"] == f"${{GATEWAY_IMAGE:-{image}}}"
    command, _, file = command.partition(" >> ")
    assert f"/{file}" in described["secrets"]["api_keys"]["file"].replace("}/", "/")
    parse_flags(f"blockcache {command}", place)


def cluster_names(text: str, _place: Place) -> None:
    manifests = "".join(path.read_text("utf-8") for path in MANIFESTS.rglob("*.yaml"))
    for folder in re.findall(r"-k (\S+)", text):
        assert (ROOT / folder / "kustomization.yaml").is_file()
    for named in re.findall(r"--from-(?:literal|file)=([\w-]+)=|(blockcache/[\w-]+)=", text):
        assert "".join(named) in manifests
    for namespace in re.findall(r"--namespace (\S+)|create namespace (\S+)", text):
        assert f"name: {''.join(namespace)}\n" in manifests


def pip_names(text: str, _place: Place) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = {name for listed in re.findall(r"\[([\w,]+)\]", text) for name in listed.split(",")}
    assert extras <= set(project["optional-dependencies"])
    assert "constraints.txt" in text


def show_help(text: str, place: Place) -> None:
    script = next(word for word in text.split() if word.endswith(".py"))
    command = [sys.executable, str(ROOT / script), "--help"]
    subprocess.run(
        command, check=True, capture_output=True, cwd=place.folder, env=environment(place)
    )


def tested_paths(text: str, _place: Place) -> None:
    paths = [word for word in _words(text)[1:] if not word.startswith("-")]
    assert all((ROOT / path).exists() for path in paths)


def known_variable(text: str, _place: Place) -> None:
    documented = rows(ROOT / "docs/settings.md", "Gateway") + rows(
        ROOT / "docs/settings.md", "Clients"
    )
    assert f"`{re.split('[ =]', text)[1]}`" in {row[0] for row in documented}


BLOCKCACHE = r"(\.venv/bin/)?blockcache "
CHECKS = (
    Check(r"curl .*http://127\.0\.0\.1:8000", run_for_real),
    Check(BLOCKCACHE + "(generate|plan|keys) ", run_for_real),
    Check(BLOCKCACHE + "judge (invite|results) ", run_for_real),
    Check(r"deploy/secrets$", write_secrets),
    Check(BLOCKCACHE, parse_flags, "runs until told to stop, or for minutes and with a model"),
    Check(r"make (run|test|clean)\b", make_dry, "installs and starts, tests, or deletes"),
    Check(r"\.venv/bin/python -m workers\.demo ", parse_demo_flags, "trains for hours"),
    Check(r"\.venv/bin/python -m tests\.bench ", parse_bench_flags, "measures for minutes"),
    Check(r"(\.venv/bin/)?python docs/", show_help, "needs a service with a model, or a browser"),
    Check(r"\.venv/bin/pytest ", tested_paths, "these are the tests"),
    Check(r"\.venv/bin/pip install ", pip_names, "changes what is installed"),
    Check(r"docker compose ", compose_names, "needs Docker; deploy/check runs it"),
    Check(r"docker run ", key_by_image, "needs Docker; deploy/check runs it"),
    Check(r"docker build ", build_names, "needs Docker; deploy/check runs it"),
    Check(r"kubectl ", cluster_names, "needs a cluster"),
    Check(r"export ", known_variable, "means something to the lines after it only"),
)
