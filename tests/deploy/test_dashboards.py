"""Dashboards: as the generator writes them, valid, and about series that exist and have values."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from deploy.checks.panels import DASHBOARDS, WITH_GPU, queries, trouble
from deploy.checks.repeating import repeated
from tests.deploy.queries import PROMETHEUS, ROOT, read_yaml, unknown_names
from tests.integration.fake_worker import FakeWorker
from tests.integration.gateways import free_port, running_gateway, wait_until
from tests.unit.workers.test_telemetry import a_ran
from workers.telemetry import WorkerMetrics, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.contract.settings import QueueSettings
    from app.settings import Settings

BOARDS = sorted(DASHBOARDS.glob("*.json"))
SCHEMAS = Path(os.environ.get("BLOCKCACHE_SCHEMAS", "no-schemas")) / "grafana"


def the(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_the_generator_writes_what_is_kept(tmp_path: Path) -> None:
    pytest.importorskip("grafana_foundation_sdk")
    made = tmp_path / "grafana"
    shutil.copytree(DASHBOARDS.parent, made)
    for path in (made / "dashboards").iterdir():
        path.unlink()
    subprocess.run([sys.executable, str(made / "build.py")], check=True)

    kept = {path.name: path.read_text("utf-8") for path in BOARDS}
    assert {path.name: path.read_text("utf-8") for path in (made / "dashboards").iterdir()} == kept


def errors(document: Any, schema: str) -> list[str]:
    validator = pytest.importorskip("jsonschema").Draft7Validator(the(SCHEMAS / schema))
    return [error.message[:200] for error in validator.iter_errors(document)]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_follows_grafanas_schema(path: Path) -> None:
    if not SCHEMAS.exists():
        pytest.skip("Grafana's schemas are not here; name their folder in BLOCKCACHE_SCHEMAS")
    board = the(path)

    assert errors(board, "dashboard.json") == []
    assert errors({**board, "panels": "none"}, "dashboard.json")
    targets = [t for panel in board["panels"] for t in panel.get("targets", [])]
    assert [e for target in targets for e in errors(target, "prometheus.json")] == []


def test_dashboards_are_told_apart() -> None:
    boards = [the(path) for path in BOARDS]

    assert len({board["uid"] for board in boards}) == len(boards) == 3


@pytest.mark.parametrize(("panel", "query"), sorted(set(queries())))
def test_a_panel_asks_for_series_that_exist(panel: str, query: str) -> None:
    assert unknown_names(query) == set()


@contextmanager
def worker_metrics() -> Iterator[tuple[WorkerMetrics, int]]:
    metrics = WorkerMetrics("emoji")
    server = serve(metrics, "127.0.0.1", 0)
    try:
        yield metrics, server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def prometheus(folder: Path, targets: list[str]) -> Iterator[str]:
    """Run the shipped rules over the targets, faster than in earnest; yield the URL."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    config = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(PROMETHEUS / "rules.yml"), str(PROMETHEUS / "alerts.yml")],
        "scrape_configs": [{"job_name": "blockcache", "static_configs": [{"targets": targets}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
    url = f"127.0.0.1:{free_port()}"
    options = ("config.file=" + str(folder / "prometheus.yml"), f"web.listen-address={url}",
               f"storage.tsdb.path={folder / 'tsdb'}")  # fmt: skip
    command = [program, *(f"--{option}" for option in options)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://{url}"
        finally:
            process.terminate()


@contextmanager
def traffic(client: httpx.Client, metrics: WorkerMetrics) -> Iterator[None]:
    """Make pictures, and be refused some, until left."""

    def ask() -> None:
        for budget_ms in (5000, 1):
            client.post("/generate", json={"prompt": "a cat", "latency_budget_ms": budget_ms})
        metrics.ran(a_ran(hurried_steps=1))
        metrics.published()

    with repeated(ask, 0.1):
        yield


def scaler_queries() -> list[tuple[str, str]]:
    scaler = read_yaml(ROOT / "deploy" / "k8s" / "overlays" / "keda" / "scaling.yaml")
    return [(each["name"], each["metadata"]["query"]) for each in scaler["spec"]["triggers"]]


def test_every_panel_and_scaler_has_values_while_there_is_traffic(
    settings: Settings, queue_settings: QueueSettings, worker: FakeWorker, tmp_path: Path
) -> None:
    wanted = [(panel, query) for panel, query in queries() if WITH_GPU not in query]
    wanted += scaler_queries()
    with (
        running_gateway(replace(settings, models=("emoji",)), queue_settings) as url,
        worker_metrics() as (metrics, port),
        prometheus(tmp_path, [url.removeprefix("http://"), f"127.0.0.1:{port}"]) as server,
        httpx.Client(base_url=url, timeout=30) as client,
        traffic(client, metrics),
    ):
        wait_until(lambda: is_ready(server))

        def empty() -> list[str]:
            return [panel for panel, query in wanted if trouble(server, query)]

        try:
            wait_until(lambda: not empty(), timeout_s=20)
        except AssertionError:
            assert empty() == []
        assert "no value" in str(trouble(server, "blockcache_nowhere_total"))
        assert "parse error" in str(trouble(server, "rate(blockcache_store_up"))
    assert len(wanted) > 30


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False
