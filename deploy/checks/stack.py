"""Run the Compose stack on podman, make pictures through it, break it, see it recover.

Started by `deploy/check` in a network namespace of its own. Exits with the first promise broken.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.checks import panels
from deploy.checks.gateway import IMAGE, WISH, Gateway, add_key, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORK = Path(os.environ["WORK"])
SECRETS = WORK / "secrets"
KEYS = SECRETS / "api_keys"
PORT = 8000
URL = f"http://127.0.0.1:{PORT}"
PROJECT = "blockcache-check"
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


def run(*command: str, **options: Any) -> str:
    """Return what a command prints; its failure ends the check."""
    environment = {**os.environ, **SETTINGS}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed with {done.returncode}")
    return done.stdout


def compose(*arguments: str) -> str:
    """Run docker compose on this project."""
    return run("docker", "compose", "--project-name", PROJECT, "--progress", "quiet", *arguments)


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


def wait_for(
    what: str, condition: Callable[[], bool], timeout_s: float, every_s: float = 0.5
) -> None:
    """Return once a condition holds; the check ends when it does not in time."""
    started_s = time.monotonic()
    while not condition():
        if time.monotonic() - started_s > timeout_s:
            sys.stdout.write(compose("ps", "--all") + compose("logs", "--tail", "15"))
            sys.exit(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(every_s)
    say(f"{what} ({time.monotonic() - started_s:.1f} s)")


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
    over = threading.Event()
    socket = SETTINGS["DOCKER_HOST"]

    def probe() -> None:
        while not over.wait(1):
            for name in run("podman", "ps", "--quiet").split():
                subprocess.run(["podman", "healthcheck", "run", name], capture_output=True)

    with subprocess.Popen(["podman", "system", "service", "--time", "0", socket]) as service:
        prober = threading.Thread(target=probe)
        prober.start()
        try:
            yield
        finally:
            over.set()
            prober.join()
            service.terminate()


def check_start(gateway: Gateway) -> None:
    """See all services come up; only the gateway is published."""
    compose("up", "--detach", "--no-build", "--pull", "never", *SERVICES)
    wait_for("ready after start", gateway.is_ready, 180)
    wait_for("a picture through the published port", lambda: makes_pictures(gateway), 60)
    wait_for("every service is healthy", all_healthy, 60)
    published = run("podman", "ps", "--format", "{{.Ports}}").split()
    if published != [f"127.0.0.1:{PORT}->8000/tcp"]:
        sys.exit(f"published: {published}")
    say("only the gateway is published, on loopback")


def check_keys() -> None:
    """See that nobody is let in without a key, and somebody with one made while it runs."""
    for key in ("", "bck_unknown"):
        status, _ = Gateway(URL, key).ask("/generate", WISH)
        if status != 401:
            sys.exit(f"answered {status} without a key that is known")
    say("without a key nobody gets a picture")
    newcomer = Gateway(URL, add_key(KEYS, "newcomer"))
    wait_for("a key made while the gateway runs is let in", newcomer.lets_in, 10)


def check_hardening() -> None:
    """See that no process is root or can write to its image."""
    for service in ("gateway", "worker-cpu", "store"):
        name = container(service)
        if run("podman", "exec", name, "id", "-u").strip() == "0":
            sys.exit(f"{service} runs as root")
        touched = subprocess.run(["podman", "exec", name, "touch", "/x"], capture_output=True)
        if touched.returncode == 0:
            sys.exit(f"{service} can write to its image")
    say("no service is root or can write to its image")


def crash(service: str) -> None:
    """Kill a service's process as a crash would; its restart policy brings it back."""
    before = inspected(service)["State"]["Pid"]
    os.kill(before, signal.SIGKILL)

    def is_back() -> bool:
        state = inspected(service)["State"]
        return state["Running"] and state["Pid"] not in {0, before}

    wait_for(f"{service} is started again after a crash", is_back, 30)


def check_store_crash(gateway: Gateway) -> None:
    """See jobs accepted before the store crashed made after it is back."""
    jobs = [gateway.accepted(num_images=8) for _ in range(3)]
    crash("store")

    def all_done() -> bool:
        return {gateway.state_of(job) for job in jobs} == {"done"}

    wait_for("all three jobs of before the crash are done", all_done, 120)


def check_worker_crash(gateway: Gateway) -> None:
    """See a job whose worker crashed while making it made by the next one."""
    job = gateway.accepted(num_images=8)
    wait_for("a job runs", lambda: gateway.state_of(job) == "running", 30, every_s=0.02)
    crash("worker-cpu")
    wait_for("the job of the crashed worker is done", lambda: gateway.state_of(job) == "done", 150)


def check_metrics(gateway: Gateway) -> None:
    """See that every panel has values, every rule runs, and Alertmanager is found."""
    url = f"http://{address('prometheus')}:9090"
    wanted = [(panel, q) for panel, q in panels.queries() if panels.WITH_GPU not in q]

    def all_have_values() -> bool:
        return all(panels.trouble(url, query) is None for _, query in wanted)

    with gateway.traffic():
        wait_for(f"all {len(wanted)} panel queries have values", all_have_values, 120)
    groups = json.loads(ask(f"{url}/api/v1/rules")[1])["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    if bad := [rule["name"] for rule in rules if rule["health"] != "ok"]:
        sys.exit(f"rules that fail: {bad}")
    say(f"all {len(rules)} rules run")
    found = json.loads(ask(f"{url}/api/v1/alertmanagers")[1])["data"]["activeAlertmanagers"]
    if len(found) != 1:
        sys.exit(f"Alertmanagers: {found}")


def check_alert() -> None:
    """See an alert go with its cause, and come back with it: nobody makes pictures."""
    url = f"http://{address('prometheus')}:9090/api/v1/alerts"

    def is_due() -> bool:
        alerts = json.loads(ask(url)[1])["data"]["alerts"]
        return "BlockcacheNoWorker" in {alert["labels"]["alertname"] for alert in alerts}

    wait_for("with a worker its alert is not due", lambda: not is_due(), 60)
    compose("stop", "worker-cpu")
    wait_for("without a worker its alert is due", is_due, 60)


def check_stop(gateway: Gateway) -> None:
    """See gateway, worker and store end by themselves on SIGTERM."""
    compose("up", "--detach", "--no-build", "--pull", "never", *SERVICES)
    wait_for("ready again", gateway.is_ready, 120)
    compose("stop", "gateway", "worker-cpu", "store")
    codes = {
        name: inspected(name)["State"]["ExitCode"] for name in ("gateway", "worker-cpu", "store")
    }
    if any(codes.values()):
        sys.exit(f"not stopped cleanly: {codes}")
    say("SIGTERM ends gateway, worker and store with exit code 0")


def check_all(gateway: Gateway) -> None:
    """Run all checks on a fresh stack."""
    wait_for("podman answers", (WORK / "podman.sock").exists, 10)
    compose("down", "--volumes")
    check_start(gateway)
    check_keys()
    check_hardening()
    check_metrics(gateway)
    check_store_crash(gateway)
    check_worker_crash(gateway)
    check_alert()
    check_stop(gateway)


def main() -> None:
    """Make passwords and a key, run all checks and take the stack down again."""
    run("deploy/secrets", str(SECRETS))
    gateway = Gateway(URL, add_key(KEYS, "check"))
    with engine():
        try:
            check_all(gateway)
        finally:
            with suppress(SystemExit):
                compose("down", "--volumes", "--timeout", "5")


if __name__ == "__main__":
    main()
