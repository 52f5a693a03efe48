"""The Kubernetes manifests as they are rendered: what every pod and every scaler promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings
from tests.deploy.overlays import K8S, of_kind, pods
from tests.deploy.queries import ROOT, read_yaml, unknown_names
from workers.loop_settings import LoopSettings

SCHEMAS = Path(os.environ.get("BLOCKCACHE_SCHEMAS", "no-schemas")) / "keda"
OVERLAYS = ("cpu", "gpu", "keda", "keda-redis", "laptop")
PORTS = {"gateway": 8000, "worker": 9101, "store": 6379}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_can_do_more_than_it_must(overlay: str) -> None:
    for pod in pods(overlay).values():
        context = pod["securityContext"]
        assert (context["runAsNonRoot"], pod["automountServiceAccountToken"]) == (True, False)
        assert context["seccompProfile"]["type"] == "RuntimeDefault"
        assert context["runAsUser"] >= 10_000, "a node may have a user of this number"
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_is_probed_bounded_and_of_a_fixed_version(overlay: str) -> None:
    for pod in pods(overlay).values():
        for container in pod["containers"]:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]
            assert ":" in container["image"]
            assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_live_longer_after_sigterm_than_what_they_still_do(overlay: str) -> None:
    grace_s = {name: pod["terminationGracePeriodSeconds"] for name, pod in pods(overlay).items()}
    answering_s = Settings(store_url="redis://store").shutdown_grace_s

    assert grace_s["blockcache-worker-emoji"] > LoopSettings().drain_s + 10
    assert grace_s["blockcache-gateway"] > answering_s + 10


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_listens_where_others_look(overlay: str) -> None:
    ports = {
        container["name"]: container["ports"][0]["containerPort"]
        for pod in pods(overlay).values()
        for container in pod["containers"]
    }

    assert ports == PORTS


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_disruptions_and_networks_are_bounded_by_labels_that_pods_have(overlay: str) -> None:
    labels = [
        each["spec"]["template"]["metadata"]["labels"].items()
        for each in of_kind(overlay, "Deployment", "StatefulSet")
    ]
    budgets = of_kind(overlay, "PodDisruptionBudget")

    assert len(budgets) == 2
    for budget in budgets:
        wanted = budget["spec"]["selector"]["matchLabels"].items()
        assert any(wanted <= pod for pod in labels)


@pytest.mark.parametrize("overlay", ["cpu", "gpu", "keda", "laptop"])
def test_only_gateways_and_workers_reach_the_store(overlay: str) -> None:
    policies = {
        each["metadata"]["name"]: each["spec"] for each in of_kind(overlay, "NetworkPolicy")
    }

    assert policies["nothing-else"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    to_store = [p for p in policies.values() if _selects(p, "store") and p.get("ingress")]
    assert len(to_store) == 1
    (rule,) = to_store[0]["ingress"]
    (source,) = rule["from"]
    assert source["podSelector"]["matchExpressions"][0]["values"] == ["gateway", "worker"]


def _selects(policy: dict[str, Any], name: str) -> bool:
    labels = policy["podSelector"].get("matchLabels", {})
    return bool(labels.get("app.kubernetes.io/name") == name)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_in_the_manifests(overlay: str) -> None:
    assert of_kind(overlay, "Secret") == []
    assert "@" not in of_kind(overlay, "ConfigMap")[0]["data"]["BLOCKCACHE_STORE_URL"]


def triggers() -> list[dict[str, str]]:
    (scaler,) = of_kind("keda", "ScaledObject")
    return [trigger["metadata"] for trigger in scaler["spec"]["triggers"]]


def test_the_scaler_asks_for_series_that_exist_and_fails_when_there_are_none() -> None:
    for metadata in triggers():
        assert unknown_names(metadata["query"]) == set()
        assert metadata["ignoreNullValues"] == "false"


def test_the_scaler_owns_the_replicas_of_a_deployment_that_exists() -> None:
    (scaler,) = of_kind("keda", "ScaledObject")
    workers = {each["metadata"]["name"]: each["spec"] for each in of_kind("keda", "Deployment")}

    target = workers[scaler["spec"]["scaleTargetRef"]["name"]]
    assert "replicas" not in target
    assert scaler["spec"]["minReplicaCount"] == 0
    assert scaler["spec"]["fallback"]["replicas"] >= 1


@pytest.mark.parametrize("overlay", ["keda", "keda-redis"])
def test_the_scaler_follows_kedas_definition(overlay: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    if not SCHEMAS.exists():
        pytest.skip("KEDA's definitions are not here; name their folder in BLOCKCACHE_SCHEMAS")
    definition = read_yaml(SCHEMAS / "keda.sh_scaledobjects.yaml")
    known_scalers = json.loads((SCHEMAS / "scalers-schema.json").read_text("utf-8"))
    (version,) = definition["spec"]["versions"]
    validator = jsonschema.Draft202012Validator(_strict(version["schema"]["openAPIV3Schema"]))
    (scaler,) = of_kind(overlay, "ScaledObject")

    assert [error.message for error in validator.iter_errors(scaler)] == []
    assert list(validator.iter_errors({**scaler, "spec": {**scaler["spec"], "typo": 1}}))
    known = {s["type"]: {p["name"] for p in s["parameters"]} for s in known_scalers["scalers"]}
    for trigger in scaler["spec"]["triggers"]:
        assert trigger["metadata"].keys() <= known[trigger["type"]]


def _strict(schema: Any) -> Any:
    """Refuse unknown fields, as the API server does when asked to be strict."""
    if not isinstance(schema, dict):
        return [_strict(part) for part in schema] if isinstance(schema, list) else schema
    found = {name: _strict(part) for name, part in schema.items()}
    inner = found.get("properties")
    if isinstance(inner, dict) and inner and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    if "metadata" in found and isinstance(found["metadata"], dict) and "apiVersion" in found:
        found["metadata"] = {"type": "object"}
    return found


def test_the_rules_are_those_of_prometheus() -> None:
    kept = (K8S / "base" / "rules.yaml").read_text("utf-8")
    groups = [
        group
        for name in ("rules.yml", "alerts.yml")
        for group in read_yaml(ROOT / "deploy" / "prometheus" / name)["groups"]
    ]

    assert yaml.safe_load(kept)["spec"]["groups"] == groups


@pytest.mark.parametrize("password", ["changeme", "x" * 19, "a\nb" * 20, "with space" * 3])
def test_the_store_refuses_a_password_that_could_be_guessed(tmp_path: Path, password: str) -> None:
    (tmp_path / "password").write_text(password)
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "deploy" / "store" / "start.sh")],
        env={"STORE_PASSWORD_FILE": str(tmp_path / "password"), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False, timeout=10,
    )  # fmt: skip

    assert done.returncode == 1
    assert "password" in done.stderr
    assert password not in done.stderr


def test_passwords_are_made_once_and_kept(tmp_path: Path) -> None:
    make = [str(ROOT / "deploy" / "secrets"), str(tmp_path / "secrets")]
    subprocess.run(make, check=True, capture_output=True)
    first = (tmp_path / "secrets" / "store_password").read_text()
    subprocess.run(make, check=True, capture_output=True)

    assert len(first) == 48
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "secrets" / "store_password").read_text() == first
    assert (tmp_path / "secrets" / "grafana_password").read_text() != first


def test_the_images_requirements_are_those_of_the_project() -> None:
    script = ROOT / "deploy" / "docker" / "requirements.py"
    done = subprocess.run(
        [sys.executable, str(script), "gateway"], cwd=ROOT, check=True, capture_output=True,
        text=True,
    )  # fmt: skip

    names = {line.split(">")[0].split("[")[0] for line in done.stdout.split()}
    assert {"click", "redis", "fastapi", "uvicorn"} <= names
    assert "torch" not in names
