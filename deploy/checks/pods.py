"""Run the pods of the rendered cpu overlay with `podman kube play`, and probe them as a node would.

Started by `deploy/check` in a network namespace of its own. What podman does not have is put in its
place: Secrets and claims are folders, a Service is an entry in /etc/hosts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from deploy.checks.gateway import IMAGE, WISH, Gateway, add_key, ask
from deploy.checks.manifests import OVERLAYS, rendered
from deploy.checks.project import run, say, wait_for

WORK = Path(os.environ["WORK"])
NETWORK = "blockcache-pods"
ADDRESSES = {
    "blockcache-store": "10.89.77.2",
    "blockcache-worker-emoji": "10.89.77.3",
    "blockcache-gateway": "10.89.77.4",
    "laptop-gateway": "10.89.77.5",
}
IMAGES = {
    "store": "localhost/check-store:latest",
    "gateway": IMAGE,
    "worker": "localhost/blockcache-worker:check",
}
FOLDERS = WORK / "pod-folders"
URL = f"http://{ADDRESSES['blockcache-gateway']}:8000"


# Asks for a picture from inside a pod, as what `kubectl port-forward` carries arrives there.
FROM_INSIDE = f"""
import json, urllib.request as r
sent = r.Request("http://127.0.0.1:8000/generate", json.dumps({WISH}).encode(),
                 {{"Content-Type": "application/json", "Accept": "image/png"}})
assert r.urlopen(sent, timeout=60).read(4) == b"\\x89PNG"
"""


def pod(workload: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the pod of a Deployment or StatefulSet as podman can run it."""
    spec = workload["spec"]["template"]["spec"]
    for container in spec["containers"]:
        container["image"] = IMAGES[container["name"]]
        # podman would publish them on the machine, a second gateway's in vain.
        container.pop("ports")
    for volume in spec["volumes"]:
        if secret := volume.pop("secret", None):
            volume["hostPath"] = host_path(secret["secretName"])
    for claim in workload["spec"].get("volumeClaimTemplates", []):
        held = claim["metadata"]["name"]
        spec["volumes"].append({"name": held, "hostPath": host_path(held)})
        context = spec["securityContext"]
        os.chown(FOLDERS / held, context["runAsUser"], context["fsGroup"])
    spec["hostAliases"] = [{"ip": ADDRESSES["blockcache-store"], "hostnames": ["blockcache-store"]}]
    # podman knows a pod's empty folder by its name alone.
    for each in (*spec["volumes"], *spec["containers"][0]["volumeMounts"]):
        each["name"] = f"{name}-{each['name']}"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def host_path(name: str) -> dict[str, str]:
    """Return a folder of this machine as a volume's source; it is made if need be."""
    folder = FOLDERS / name
    folder.mkdir(parents=True, exist_ok=True)
    return {"path": str(folder), "type": "Directory"}


def fill_secrets() -> str:
    """Put into folders what docs/deploy.md puts into Secrets; return the key to ask with."""
    shutil.rmtree(FOLDERS, ignore_errors=True)
    run("deploy/secrets", str(WORK / "secrets"))
    password = Path(host_path("blockcache")["path"]) / "store-password"
    shutil.copy(WORK / "secrets" / "store_password", password)
    return add_key(Path(host_path("blockcache-keys")["path"]) / "api-keys", "check")


def passes(name: str, probe: dict[str, Any]) -> bool:
    """Run one of a container's probes as a node's kubelet would."""
    if "exec" in probe:
        command = ["podman", "exec", name, *probe["exec"]["command"]]
        return subprocess.run(command, capture_output=True).returncode == 0
    address = ADDRESSES[name.rsplit("-", 1)[0]]
    port = {"http": 8000, "metrics": 9101}[probe["httpGet"]["port"]]
    return ask(f"http://{address}:{port}{probe['httpGet']['path']}")[0] == 200


def probe_all(found: dict[str, Any]) -> None:
    """Wait for a pod's probes to pass, the first one as long as it may take."""
    (container,) = found["spec"]["containers"]
    name = f"{found['metadata']['name']}-{container['name']}"
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container[kind]
        allowed_s = probe["periodSeconds"] * probe["failureThreshold"]
        wait_for(f"{name}: {kind}", lambda probe=probe: passes(name, probe), allowed_s)


def play(found: dict[str, Any], config_maps: list[dict[str, Any]]) -> None:
    """Start a pod at its address."""
    name = found["metadata"]["name"]
    path = WORK / f"{name}.yaml"
    path.write_text(yaml.safe_dump_all([*config_maps, found]), "utf-8")
    run("podman", "kube", "play", "--network", NETWORK, "--ip", ADDRESSES[name], str(path))


def check_stop(name: str, grace_s: int) -> None:
    """See the containers of a pod end by themselves on SIGTERM."""
    run("podman", "pod", "stop", "--time", str(grace_s), name)
    shown = run("podman", "ps", "--all", "--filter", f"pod={name}", "--format", "{{.Names}}")
    for container in (each for each in shown.split() if not each.endswith("-infra")):
        code = run("podman", "inspect", "--format", "{{.State.ExitCode}}", container).strip()
        if code != "0":
            sys.exit(f"{container} ended with {code}")
    say(f"{name} ends on SIGTERM")


def check_picture(gateway: Gateway) -> None:
    """See a picture made for who has a key, and none for who has not."""
    status, picture = gateway.ask("/generate", WISH, Accept="image/png")
    if status != 200 or not picture.startswith(b"\x89PNG"):
        sys.exit(f"no picture: {status} {picture[:300]!r}")
    say("a picture through the pods")
    status, _ = ask(f"{gateway.url}/generate", WISH)
    if status != 401:
        sys.exit(f"answered {status} without a key")
    say("none without a key")


def check_laptop(name: str) -> None:
    """See pictures made without a key from inside the pod, and nobody answered from outside."""
    run("podman", "exec", f"{name}-gateway", "python", "-c", FROM_INSIDE)
    say("a picture without a key on the laptop pod's loopback")
    status, _ = ask(f"http://{ADDRESSES[name]}:8000/healthz")
    if status:
        sys.exit(f"answered {status} from outside the laptop's pod")
    say("none from outside it")


def workloads(overlay: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return an overlay's Deployments and StatefulSets by name, and its ConfigMaps."""
    objects = rendered(OVERLAYS / overlay)
    kinds = {"Deployment", "StatefulSet"}
    named = {each["metadata"]["name"]: each for each in objects if each["kind"] in kinds}
    return named, [each for each in objects if each["kind"] == "ConfigMap"]


def check_all(gateway: Gateway) -> None:
    """Play all pods, make pictures, stop them."""
    named, config_maps = workloads("cpu")
    named["laptop-gateway"] = workloads("laptop")[0]["blockcache-gateway"]
    made = {name: pod(named[name], name) for name in ADDRESSES}
    for each in made.values():
        play(each, config_maps)
        probe_all(each)
    check_picture(gateway)
    check_laptop("laptop-gateway")
    for name in reversed(ADDRESSES):
        check_stop(name, made[name]["spec"]["terminationGracePeriodSeconds"])


def main() -> None:
    """Run all checks in a network of their own and take everything down again."""
    gateway = Gateway(URL, fill_secrets())
    run("podman", "network", "create", "--subnet", "10.89.77.0/24", NETWORK)
    try:
        check_all(gateway)
    finally:
        for name in ADDRESSES:
            with suppress(SystemExit):
                run("podman", "pod", "rm", "--force", "--time", "1", "--ignore", name)
        with suppress(SystemExit):
            run("podman", "network", "rm", "--force", NETWORK)


if __name__ == "__main__":
    main()
