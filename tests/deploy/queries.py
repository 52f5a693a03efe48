"""What rules and dashboards ask Prometheus for, and what the processes really export."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from app.telemetry import Telemetry
from workers.telemetry import WorkerMetrics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
METRIC = re.compile(r"(?<![:\w])blockcache_\w+(?![:\w])")
RECORDED = re.compile(r"\w+:blockcache_\w+:\w+")
# Only exported beside an NVIDIA GPU whose management library is installed.
WITH_GPU = {"blockcache_gpu_temperature_celsius"}


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def rules(name: str) -> list[dict[str, Any]]:
    return [rule for group in read_yaml(PROMETHEUS / name)["groups"] for rule in group["rules"]]


def recorded_names() -> set[str]:
    return {rule["record"] for rule in rules("rules.yml")}


def exported_names() -> set[str]:
    return (
        _names(Telemetry().registry) | _names(WorkerMetrics("emoji").registry) | WITH_GPU
    ) - _families()


def unknown_names(query: str) -> set[str]:
    """Return the metrics and recorded series of a query that nothing exports."""
    metrics, series = set(METRIC.findall(query)), set(RECORDED.findall(query))
    return (metrics - exported_names()) | (series - recorded_names())


def _names(registry: CollectorRegistry) -> set[str]:
    return set(registry._names_to_collectors)


def _families() -> set[str]:
    """Names of families, which are no series: those of counters and histograms."""
    kinds = ("counter", "histogram")
    registries = (Telemetry().registry, WorkerMetrics("emoji").registry)
    found = (family for registry in registries for family in registry.collect())
    return {family.name for family in found if family.type in kinds}
