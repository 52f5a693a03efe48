"""Who is let in where the service is deployed: callers with a key, unless somebody tries it out."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.errors import SettingsError
from app.keys import new_key
from app.settings import Settings, is_loopback
from tests.deploy.overlays import of_kind, pods
from tests.deploy.queries import ROOT, read_yaml

# What the image sets.
IMAGE = {"BLOCKCACHE_HOST": "0.0.0.0", "BLOCKCACHE_PORT": "8000"}  # noqa: S104 in a container
# ${NAME:-default}, as Compose fills it in where NAME is not set.
UNSET = re.compile(r"\$\{\w+:-([^}]*)\}")
KEYED = ("cpu", "gpu", "keda", "keda-redis")


class Override(yaml.SafeLoader):
    """Reads Compose files that replace what another says."""


def _replacement(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node)
    return None


Override.add_constructor("!override", _replacement)
Override.add_constructor("!reset", _replacement)


def composed() -> dict[str, Any]:
    found: dict[str, Any] = read_yaml(ROOT / "docker-compose.yml")
    return found


def anonymous() -> dict[str, Any]:
    text = (ROOT / "deploy" / "anonymous.yml").read_text("utf-8")
    found: dict[str, Any] = yaml.load(text, Override)["services"]["gateway"]  # noqa: S506 a safe one
    return found


def deployed(overlay: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a gateway's pod and its environment."""
    pod = pods(overlay)["blockcache-gateway"]
    (config,) = (m["data"] for m in of_kind(overlay, "ConfigMap") if "BLOCKCACHE" in str(m))
    named = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    return pod, {**IMAGE, **config, **named}


def test_a_composed_gateway_starts_once_a_key_is_made(tmp_path: Path) -> None:
    subprocess.run([ROOT / "deploy" / "secrets", tmp_path], check=True, capture_output=True)
    file = tmp_path / "api_keys"
    gateway = composed()["services"]["gateway"]
    by_default = {n: UNSET.sub(r"\1", text) for n, text in gateway["environment"].items()}
    environment = {**IMAGE, **by_default}
    assert environment["BLOCKCACHE_KEYS_FILE"] == "/run/secrets/api_keys"
    assert "api_keys" in gateway["secrets"]

    with pytest.raises(SettingsError, match="holds no key"):
        Settings.read(environment, {"keys_file": str(file)})
    with file.open("a") as lines:
        lines.write(new_key("me")[1].line)

    assert Settings.read(environment, {"keys_file": str(file)}).with_keys


def test_the_file_for_keys_is_open_to_the_container_and_kept(tmp_path: Path) -> None:
    make = [ROOT / "deploy" / "secrets", tmp_path]
    subprocess.run(make, check=True, capture_output=True)
    (tmp_path / "api_keys").write_text("kept")
    subprocess.run(make, check=True, capture_output=True)

    assert (tmp_path / "api_keys").read_text() == "kept"
    assert (tmp_path / "api_keys").stat().st_mode & 0o777 == 0o644


def test_composed_without_keys_the_gateway_is_published_on_loopback_only() -> None:
    gateway = anonymous()

    assert gateway["environment"] == {
        "BLOCKCACHE_KEYS_FILE": None, "BLOCKCACHE_ALLOW_ANONYMOUS": "true"
    }  # fmt: skip
    assert gateway["secrets"] == ["store_password"]
    assert [port.split(":")[0] for port in gateway["ports"]] == ["127.0.0.1"]


@pytest.mark.parametrize("overlay", KEYED)
def test_a_gateway_in_a_cluster_lets_in_the_keys_of_a_secret(overlay: str, tmp_path: Path) -> None:
    pod, environment = deployed(overlay)
    mounted = {each["name"]: each for each in pod["containers"][0]["volumeMounts"]}["keys"]
    (volume,) = (each["secret"] for each in pod["volumes"] if each["name"] == "keys")
    (tmp_path / "keys").write_text(new_key("me")[1].line)

    settings = Settings.read(environment, {"keys_file": str(tmp_path / "keys")})

    assert (settings.with_keys, settings.allow_anonymous) == (True, False)
    assert environment["BLOCKCACHE_KEYS_FILE"] == f"{mounted['mountPath']}/api-keys"
    # A subPath would never be brought up to date.
    assert (mounted["readOnly"], "subPath" in mounted) == (True, False)
    assert (volume["secretName"], volume.get("optional")) == ("blockcache-keys", None)


@pytest.mark.parametrize("overlay", KEYED)
def test_keys_are_seen_by_gateways_only(overlay: str) -> None:
    holders = [name for name, pod in pods(overlay).items() if "blockcache-keys" in str(pod)]

    assert holders == ["blockcache-gateway"]


def test_on_a_laptop_the_gateway_listens_on_its_pods_loopback_only() -> None:
    pod, environment = deployed("laptop")

    settings = Settings.read(environment, {})

    assert is_loopback(settings.host)
    assert (settings.with_keys, settings.allow_anonymous) == (False, False)
    assert "blockcache-keys" not in str(pod)


def test_on_a_laptop_probes_run_inside_the_pod_and_no_operator_is_needed() -> None:
    (container,) = deployed("laptop")[0]["containers"]

    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe].keys() >= {"exec"}
        assert "httpGet" not in container[probe]
    assert of_kind("laptop", "ServiceMonitor", "PodMonitor", "PrometheusRule") == []
