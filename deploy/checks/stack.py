"""Run the Compose stack on podman, make pictures through it, break it, see it recover.

Started by `deploy/check` in a network namespace of its own. Exits with the first promise broken.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress

from deploy.checks import panels
from deploy.checks.gateway import WISH, Gateway, add_key, ask
from deploy.checks.outages import check_store_away, check_store_crash, check_worker_crash
from deploy.checks.project import (
    LOOPBACK,
    SECRETS,
    SERVICES,
    URL,
    WORK,
    address,
    all_healthy,
    compose,
    container,
    engine,
    inspected,
    makes_pictures,
    published,
    run,
    say,
    up,
    wait_for,
)
from deploy.checks.starts import check_anonymous, check_cold_start, check_traces

KEYS = SECRETS / "api_keys"


def check_start(gateway: Gateway) -> None:
    """See all services come up; only the gateway is published."""
    up(*SERVICES)
    wait_for("ready after start", gateway.is_ready, 180)
    wait_for("a picture through the published port", lambda: makes_pictures(gateway), 60)
    wait_for("every service is healthy", all_healthy, 60)
    if published() != [LOOPBACK]:
        sys.exit(f"published: {published()}")
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
    up(*SERVICES)
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
    check_cold_start(gateway)
    check_store_crash(gateway)
    check_store_away(gateway)
    check_worker_crash(gateway)
    check_alert()
    check_traces(gateway)
    check_anonymous()
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
