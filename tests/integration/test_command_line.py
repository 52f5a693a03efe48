"""The command `blockcache` as a user meets it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from app.client import Client
from app.errors import ServiceError
from tests.builders import a_book, costs
from tests.integration.fake_worker import a_png
from tests.integration.gateways import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.fake_worker import FakeWorker

CLI = (sys.executable, "-m", "app.cli")
FAKE_UP = (sys.executable, "-m", "tests.integration.fake_up")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(arguments, stdout=pipe, stderr=pipe, text=True)
    with process:
        try:
            yield process
        finally:
            process.terminate()


def a_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def is_ready(port: int) -> bool:
    with Client(f"http://127.0.0.1:{port}") as client:
        return client.is_ready()


def is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz").is_success
    except httpx.TransportError:
        return False


def test_help_lists_every_command_with_what_it_does() -> None:
    done = run("--help")

    assert done.returncode == 0, done.stderr
    for name in ("up", "gateway", "generate", "plan", "bench", "keys", "jobs", "worker"):
        assert f"  {name} " in done.stdout
    assert "Examples:" in done.stdout


def test_every_command_of_the_gateway_shows_an_example() -> None:
    for name in ("up", "gateway", "generate", "plan", "bench", "keys", "jobs"):
        assert f"blockcache {name}" in run(name, "--help").stdout.split("Examples:")[1]


def test_a_wrong_setting_is_one_sentence() -> None:
    done = run("gateway", "--store-url", "http://nowhere")

    assert done.returncode == 1
    assert done.stderr.startswith("Error: store_url must be")
    assert len(done.stderr.splitlines()) == 1


def test_a_taken_port_is_one_sentence(store_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("gateway", "--store-url", store_url, "--port", port)

    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: Port {port} is taken")
    assert len(done.stderr.splitlines()) == 1


def test_the_gateway_stops_in_peace_when_told_to(store_url: str) -> None:
    port = a_free_port()
    command = (*CLI, "gateway", "--store-url", store_url, "--port", str(port))
    with started(*command) as process:
        wait_until(lambda: is_up(port), 30)
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=60)

    assert process.returncode == 0
    assert all(json.loads(line)["level"] for line in logged.splitlines())


def test_a_service_that_is_not_there_is_one_sentence() -> None:
    done = run("generate", "a cat", "--url", f"http://127.0.0.1:{a_free_port()}")

    assert done.returncode == 1
    assert "start one: blockcache up" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_generate_writes_the_picture_and_shows_the_plan(
    gateway: httpx.Client, worker: FakeWorker, tmp_path: Path
) -> None:
    output = tmp_path / "cat.png"
    url = str(gateway.base_url)
    wish = ("--budget-ms", "5000", "--seed", "7", "-o", str(output))
    done = run("generate", "a cat", *wish, "--url", url)

    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == a_png(7)
    assert "dpmpp_2m-8-full" in done.stdout


def test_generate_numbers_several_pictures(
    gateway: httpx.Client, worker: FakeWorker, tmp_path: Path
) -> None:
    wish = ("--budget-ms", "5000", "--seed", "7", "--num-images", "2")
    run("generate", "a cat", *wish, "-o", str(tmp_path / "cat.png"), "--url", str(gateway.base_url))

    assert (tmp_path / "cat-0.png").read_bytes() == a_png(7)
    assert (tmp_path / "cat-1.png").read_bytes() == a_png(8)


def test_plan_shows_choice_and_runners_up(gateway: httpx.Client, worker: FakeWorker) -> None:
    done = run("plan", "--budget-ms", "5000", "--url", str(gateway.base_url))

    assert "dpmpp_2m-8-full" in done.stdout
    assert "dpmpp_2m-8-uniform-2" in done.stdout


def test_plan_works_from_files(tmp_path: Path) -> None:
    book, prices = tmp_path / "book.json", tmp_path / "costs.json"
    book.write_text(json.dumps(a_book().to_dict()))
    prices.write_text(json.dumps(costs().to_dict()))
    files = ("--book", str(book), "--costs", str(prices))

    assert "dpmpp_2m-8-full" in run("plan", "--budget-ms", "5000", *files).stdout
    refused = run("plan", "--budget-ms", "1", *files)
    assert refused.returncode == 1
    assert "latency budget" in refused.stderr


def test_plan_from_a_file_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    book = tmp_path / "book.json"
    book.write_text("{")
    done = run("plan", "--budget-ms", "5", "--book", str(book), "--costs", str(book))

    assert done.returncode == 1
    assert "is not JSON" in done.stderr
    assert "Traceback" not in done.stderr


def test_bench_reports_on_budgets_and_predictions(
    gateway: httpx.Client, worker: FakeWorker, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    load = ("--requests", "6", "--concurrency", "2", "--budgets", "20:30")
    done = run("bench", *load, "--noise", "--json", str(report), "--url", str(gateway.base_url))

    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    assert (found["requests"], found["answered"]) == (6, 6)
    assert found["in_budget"] == 1
    assert found["prediction_error_p95"] >= found["prediction_error_median"]
    assert found["images_per_s"] > 0
    assert 0 < found["machine_noise_median"] <= found["machine_noise_p95"]


def test_bench_reports_on_open_load_at_a_rate(
    gateway: httpx.Client, worker: FakeWorker, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    load = ("--rate", "2", "--seconds", "1", "--json", str(report))
    done = run("bench", *load, "--url", str(gateway.base_url))

    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    assert found["capacity_images_per_s"] > 0
    assert found["rates"]["2"]["requests"] > 0
    assert 0 < found["rates"]["2"]["accepted"] <= 1


def test_a_client_says_what_the_service_said(gateway: httpx.Client, worker: FakeWorker) -> None:
    with (
        Client(str(gateway.base_url)) as client,
        pytest.raises(ServiceError, match="needs a latency budget of"),
    ):
        client.generate(prompt="a cat", latency_budget_ms=1)


def test_up_serves_until_told_to_stop_and_leaves_nothing_running(tmp_path: Path) -> None:
    port = a_free_port()
    with started(*FAKE_UP, str(port), str(tmp_path)) as process:
        assert process.stdout is not None
        printed = "".join(iter(process.stdout.readline, "stop with Ctrl-C\n"))
        served = is_ready(port)
        process.send_signal(signal.SIGTERM)
        _, complained = process.communicate(timeout=40)

    assert served
    assert process.returncode == 0, complained
    assert f"ready: http://127.0.0.1:{port}" in printed
    assert f"curl -sS http://127.0.0.1:{port}/generate" in printed
    assert not is_up(port)


def test_up_tells_the_last_words_of_a_process_that_died(tmp_path: Path) -> None:
    port = a_free_port()
    with started(*FAKE_UP, str(port), str(tmp_path), "dying") as process:
        _, complained = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "the worker ended with code 3" in complained
    assert "no such model" in complained
    assert "Traceback" not in complained
    assert not is_up(port)


def test_up_on_a_taken_port_starts_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("up", "--port", port, "--data", str(tmp_path / "data"))

    assert done.returncode == 1
    assert f"Port {port} is taken" in done.stderr
    assert not (tmp_path / "data").exists()
