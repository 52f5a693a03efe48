"""Render every overlay and hold each object to the schema of its kind; an unknown kind fails.

    python -m deploy.checks.manifests

Built-in kinds are checked by kubernetes-validate, those of KEDA and the Prometheus Operator by
models made from their definitions, where a field that the models do not know is an error too.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import yaml
from cloudcoil.models.keda import v1alpha1 as keda
from cloudcoil.models.prometheus_operator import v1 as operator
from pydantic import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

OVERLAYS = Path(__file__).parents[1] / "k8s" / "overlays"
KUBERNETES = "1.32"
MODELS: dict[str, Any] = {
    "ScaledObject": keda.ScaledObject,
    "TriggerAuthentication": keda.TriggerAuthentication,
    "PodMonitor": operator.PodMonitor,
    "PrometheusRule": operator.PrometheusRule,
    "ServiceMonitor": operator.ServiceMonitor,
}


def rendered(overlay: Path) -> list[dict[str, Any]]:
    """Return the objects of an overlay."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(overlay)], check=True, stdout=subprocess.PIPE
    )
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def trouble(found: dict[str, Any]) -> str | None:
    """Return what is wrong with an object, None when nothing is."""
    model = MODELS.get(found["kind"])
    try:
        if model is None:
            kubernetes_validate.validate(found, KUBERNETES, strict=True)
            return None
        known = model.model_validate(found).model_dump(
            by_alias=True, exclude_unset=True, mode="json"
        )
    except (kubernetes_validate.ValidationError, ValidationError) as error:
        return str(error).split("\n\n")[0]
    except kubernetes_validate.SchemaNotFoundError:
        return "unknown kind"
    unknown = sorted(set(_paths(found)) - set(_paths(known)))
    return f"unknown fields: {', '.join(unknown)}" if unknown else None


def _paths(found: Any, here: str = "") -> Iterator[str]:
    """Yield the path of every field."""
    parts: list[tuple[Any, Any]] = []
    if isinstance(found, dict):
        parts = list(found.items())
    elif isinstance(found, list):
        parts = list(enumerate(found))
    for name, value in parts:
        yield f"{here}/{name}"
        yield from _paths(value, f"{here}/{name}")


def main() -> None:
    """Print what is wrong, a line an object; exit with 1 if anything is."""
    count, wrong = 0, []
    for overlay in sorted(OVERLAYS.iterdir()):
        for found in rendered(overlay):
            count += 1
            if reason := trouble(found):
                name = f"{overlay.name}: {found['kind']} {found['metadata']['name']}"
                wrong.append(f"{name}: {reason}")
    sys.stdout.write("".join(f"{line}\n" for line in wrong))
    sys.stdout.write(f"   {count} objects, {len(wrong)} of them wrong\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
