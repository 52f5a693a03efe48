"""The Kubernetes manifests as kustomize renders them."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from typing import Any

import pytest
import yaml

from tests.deploy.queries import ROOT

K8S = ROOT / "deploy" / "k8s"


@cache
def rendered(overlay: str) -> list[dict[str, Any]]:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    command = [kubectl, "kustomize", str(K8S / "overlays" / overlay)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def of_kind(overlay: str, *kinds: str) -> list[dict[str, Any]]:
    return [found for found in rendered(overlay) if found["kind"] in kinds]


def pods(overlay: str) -> dict[str, dict[str, Any]]:
    found = of_kind(overlay, "Deployment", "StatefulSet")
    return {each["metadata"]["name"]: each["spec"]["template"]["spec"] for each in found}
