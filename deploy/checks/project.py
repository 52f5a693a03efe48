"""The Compose project under check: commands on it, and what podman knows of its containers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.checks.gateway import IMAGE, WISH, Gateway
from deploy.checks.repeating import repeated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

WORK = Path(os.environ["WORK"])
SECRETS = WORK / "secrets"
PORT = 8000
URL = f"http://127.0.0.1:{PORT}"
LOOPBACK = f"127.0.0.1:{PORT}->8000/tcp"
PROJECT = "blockcache-check"
FILES = ("docker-compose.yml",)
# There is no Grafana to be had without a registry.
SERVICES = ("store", "gateway", "worker-cpu", "prometheus", "alertmanager")
SETTINGS = {
    "DOCKER_HOST": f"unix://{WORK}/podman.sock",
    "COMPOSE_PROFILES": "cpu",
    "PORT": str(PORT),
    "SECRETS_DIR": str(SECRETS),
    "STORE_IMAGE": "localhost/check-store",
    "GATEWAY_IMAGE": IMAGE,
    "WORKER_CPU_IMAGE": "localhost/blockcache-worker:check",
    "PROMETHEUS_IMAGE": "localhost/check-prometheus",
    "ALERTMANAGER_IMAGE": "localhost/check-alertmanager",
}


def say(words: str) -> None:
    """Tell what has been seen."""
    sys.stdout.write(f"   {words}\n")
    sys.stdout.flush()


def run(*command: str, **settings: str) -> str:
    """Return what a command prints; its failure ends the check."""
    environment = {**os.environ, **SETTINGS, **settings}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed with {done.returncode}")
    return done.stdout


def compose(*arguments: str, files: Sequence[str] = FILES, **settings: str) -> str:
    """Run docker compose on this project."""
    named = [part for file in files for part in ("--file", file)]
    options = (*named, "--project-name", PROJECT, "--progress", "quiet")
    return run("docker", "compose", *options, *arguments, **settings)


def up(*services: str, files: Sequence[str] = FILES, **settings: str) -> None:
    """Start services as their settings say now."""
    options = ("--detach", "--no-build", "--pull", "never")
    compose("up", *options, *services, files=files, **settings)


def container(service: str) -> str:
    """Return the id of a service's container."""
    return compose("ps", "--all", "--quiet", service).strip()


def inspected(service: str) -> dict[str, Any]:
    """Return what podman knows of a service's container."""
    found: dict[str, Any] = json.loads(run("podman", "inspect", container(service)))[0]
    return found


def address(service: str) -> str:
    """Return a service's address on the stack's inner network."""
    networks = inspected(service)["NetworkSettings"]["Networks"]
    return str(networks[f"{PROJECT}_inside"]["IPAddress"])


def published() -> list[str]:
    """Return what is published of all containers."""
    return run("podman", "ps", "--format", "{{.Ports}}").split()


def seconds_until(
    what: str, condition: Callable[[], bool], timeout_s: float, every_s: float = 0.5
) -> float:
    """Return once a condition holds, how long it took; the check ends when it is not in time."""
    started_s = time.monotonic()
    while not condition():
        if time.monotonic() - started_s > timeout_s:
            sys.stdout.write(compose("ps", "--all") + compose("logs", "--tail", "15"))
            sys.exit(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(every_s)
    return time.monotonic() - started_s


def wait_for(
    what: str, condition: Callable[[], bool], timeout_s: float, every_s: float = 0.5
) -> None:
    """Tell once a condition holds; the check ends when it does not in time."""
    say(f"{what} ({seconds_until(what, condition, timeout_s, every_s):.1f} s)")


def all_healthy() -> bool:
    """Whether every service passes its health check."""
    return all(inspected(name)["State"]["Health"]["Status"] == "healthy" for name in SERVICES)


def makes_pictures(gateway: Gateway) -> bool:
    """Whether a request through the published port is answered with a PNG."""
    status, picture = gateway.ask("/generate", WISH, Accept="image/png")
    (WORK / "picture.png").write_bytes(picture)
    return status == 200 and picture.startswith(b"\x89PNG")


@contextmanager
def engine() -> Iterator[None]:
    """Serve podman's API, and probe the containers' health, which systemd would do."""
    socket = SETTINGS["DOCKER_HOST"]

    def probe() -> None:
        for name in run("podman", "ps", "--quiet").split():
            subprocess.run(["podman", "healthcheck", "run", name], capture_output=True)

    with subprocess.Popen(["podman", "system", "service", "--time", "0", socket]) as service:
        try:
            with repeated(probe, 1):
                yield
        finally:
            service.terminate()
