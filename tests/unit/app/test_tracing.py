"""When traces are exported, and to which address."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.contract.errors import TracingUnavailable
from app.contract.tracing import OFF, is_endpoint, open_tracing, traces_url
from app.up import own_processes

# A finder without what the extra installs; FastAPI brings the API of OpenTelemetry itself.
WITHOUT_EXTRA = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
"""


def run_without_extra(statement: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA + statement, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("nothing", [None, ""])
def test_without_an_endpoint_there_is_no_tracing(nothing: str | None) -> None:
    assert open_tracing(nothing, "blockcache-gateway") is OFF


@pytest.mark.parametrize(
    "endpoint",
    ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces", "http://c:4318/v1/traces/"],
)
def test_the_address_of_a_collector_is_enough(endpoint: str) -> None:
    assert traces_url(endpoint) == "http://c:4318/v1/traces"


@pytest.mark.parametrize("wrong", ["c:4318", "grpc://c:4317", "http://[", "https:///x"])
def test_what_is_no_address_is_refused_without_being_repeated(wrong: str) -> None:
    assert not is_endpoint(wrong)
    with pytest.raises(TracingUnavailable) as raised:
        open_tracing(wrong, "blockcache-worker")

    assert wrong not in str(raised.value)


def test_without_the_extra_an_endpoint_is_refused_in_one_sentence() -> None:
    asked = (
        "gateway",
        "--store-url",
        "redis://unused",
        "--port",
        "0",
        "--otlp-endpoint",
        "http://c",
    )
    done = run_without_extra("from app.cli import main; main()", *asked)

    assert done.returncode == 1
    assert done.stderr.startswith("Error: an OTLP endpoint is set, but the extra `tracing` is not")
    assert done.stderr.count("\n") == 1


def test_up_tells_gateway_and_worker_where_traces_go() -> None:
    processes = own_processes(0, "emoji", "redis://unused", otlp_endpoint="http://c:4318")

    lines = [" ".join(line) for line in processes.values()]
    assert ["--otlp-endpoint http://c:4318" in line for line in lines] == [True, True]


def test_without_the_extra_gateway_and_worker_load_all_the_same() -> None:
    done = run_without_extra("import app.serve, workers.job_traces")

    assert done.returncode == 0, done.stderr
