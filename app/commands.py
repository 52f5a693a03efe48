"""The gateway's sub-commands. What they need is imported when they run."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import click

DEFAULT_URL = "http://127.0.0.1:8000"

url_option = click.option(
    "--url",
    default=DEFAULT_URL,
    envvar="BLOCKCACHE_URL",
    show_default=True,
    help="Running service.",
)
key_option = click.option(
    "--key", default="", envvar="BLOCKCACHE_KEY", help="API key; better in BLOCKCACHE_KEY."
)


@click.command(
    epilog="""\b
Examples:
  blockcache gateway --store-url redis://localhost:6379
  BLOCKCACHE_STORE_URL=redis://store:6379 blockcache gateway --host 0.0.0.0 --keys-file keys.txt
"""
)
@click.option("--store-url", help="redis://, rediss:// or unix:// URL of the store.")
@click.option("--host", help="Address to listen on (default 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (default 8000).")
@click.option("--keys-file", help="Let in the keys of this file only (blockcache keys).")
@click.option("--allow-anonymous", is_flag=True, default=None, help="Let anybody in, without keys.")
@click.option("--default-budget-ms", type=float, help="Budget of requests that name none.")
@click.option("--queue-cap", type=int, help="Most jobs that may wait.")
@click.option("--otlp-endpoint", help="OTLP/HTTP collector that gets the traces.")
def gateway(**options: Any) -> None:
    """Run the HTTP gateway. Every option is also read from BLOCKCACHE_<NAME>."""
    from app.serve import run
    from app.settings import Settings

    run(Settings.read(os.environ, options))


@click.command(
    epilog="""\b
Examples:
  blockcache keys alice >> keys.txt
  blockcache keys batch --requests-per-minute 600 --concurrent-jobs 32 >> keys.txt
  blockcache gateway --host 0.0.0.0 --keys-file keys.txt --store-url redis://localhost:6379
"""
)
@click.argument("name")
@click.option("--requests-per-minute", type=int, help="Most requests in any minute (default 60).")
@click.option("--concurrent-jobs", type=int, help="Most jobs waiting or running (default 8).")
def keys(name: str, **limits: int | None) -> None:
    """Make an API key for NAME: the key on stderr, the line for the keys file on stdout.

    The file keeps the key's hash only, so the key is shown this once.
    """
    from app.keys import new_key

    secret, key = new_key(name, **_given(limits))
    click.echo(f"key of {name}, shown only now: {secret}", err=True)
    click.echo(key.line)


@click.command(
    epilog="""\b
Examples:
  blockcache up
  blockcache up --port 8001 --data ./blockcache-data
"""
)
@click.option(
    "--port", type=click.IntRange(1, 65535), default=8000, envvar="PORT", show_default=True
)
@click.option("--model", default="emoji", show_default=True, help="Model the worker serves.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of the store and logs (default: ~/.cache/blockcache).",
)
@click.option(
    "--otlp-endpoint", envvar="BLOCKCACHE_OTLP_ENDPOINT",
    help="OTLP/HTTP collector that gets the traces of gateway and worker.",
)  # fmt: skip
def up(port: int, model: str, data: Path | None, otlp_endpoint: str | None) -> None:
    """Run store, gateway and one worker on this machine until Ctrl-C."""
    from app.up import own_processes, run_all

    where = data or Path.home() / ".cache" / "blockcache"
    run_all(port, where, partial(own_processes, port, model, otlp_endpoint=otlp_endpoint))


@click.command(
    epilog="""\b
Examples:
  blockcache generate "a smiling cat" --budget-ms 800 -o cat.png
  blockcache generate "a red heart" --budget-ms 500 --seed 7 --num-images 4 -o hearts.png
"""
)
@click.argument("prompt")
@click.option("--budget-ms", type=float, help="Latency budget (default: the service's).")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default="out.png",
    show_default=True, help="PNG to write; several pictures are numbered.",
)  # fmt: skip
@click.option("--seed", type=int, help="First seed (default: random).")
@click.option("--num-images", type=int, default=1, show_default=True)
@click.option("--model", help="Model (default: the service's first).")
@url_option
@key_option
def generate(prompt: str, output: Path, url: str, key: str, **options: Any) -> None:
    """Make pictures for PROMPT by a running service; show the plan and the time it took."""
    from app.client import Client
    from app.terminal import show_made, write_pictures

    with Client(url, key=key) as client:
        made = client.generate(prompt=prompt, **_given(options))
    show_made(made, write_pictures(made, output))


@click.command(
    epilog="""\b
Examples:
  blockcache plan --budget-ms 800
  blockcache plan --budget-ms 800 --book book.json --costs costs.json
"""
)
@click.option("--budget-ms", type=float, required=True, help="Latency budget.")
@click.option("--num-images", type=click.IntRange(1), default=1, show_default=True)
@click.option("--min-quality", type=click.FloatRange(0, 1), default=0.0, show_default=True)
@click.option("--model", help="Model (default: the service's first).")
@click.option("--book", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--costs", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@url_option
@key_option
def plan(url: str, key: str, book: Path | None, costs: Path | None, **options: Any) -> None:
    """Show which plan a budget buys, the runners-up, and what more budget would buy.

    Asks a running service, or reads a plan book and a cost model from files.
    """
    from app.client import Client
    from app.offline import plan_from_files
    from app.terminal import show_plan

    if (book is None) != (costs is None):
        raise click.UsageError("--book and --costs belong together: give both or neither.")
    if book and costs:
        show_plan(plan_from_files(book, costs, **options))
        return
    with Client(url, key=key) as client:
        show_plan(client.plan(**_given(options)))


@click.command(
    epilog="""\b
Examples:
  blockcache bench --requests 200
  blockcache bench --requests 100 --budgets 1.2:5 --concurrency 4 --json load.json
  blockcache bench --noise
  blockcache bench --rate 0.7,1,1.5,3 --seconds 60 --json overload.json
"""
)
@click.option("--requests", type=click.IntRange(1), default=200, show_default=True)
@click.option(
    "--budgets", default="1.2:5", show_default=True,
    help="Smallest and largest budget, as multiples of the fastest plan's median time.",
)  # fmt: skip
@click.option("--concurrency", type=click.IntRange(1, 256), default=1, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the budgets.")
@click.option(
    "--noise", is_flag=True, help="Time the same work after each request: what the machine strays."
)
@click.option(
    "--rate", help="Open loop instead: Poisson arrivals at these multiples of the capacity."
)
@click.option(
    "--seconds", type=click.FloatRange(min=1), default=60, show_default=True, help="Of each rate."
)
@click.option("--json", "report", type=click.Path(dir_okay=False, path_type=Path), help="Report.")
@url_option
@key_option
def bench(
    requests: int,
    budgets: str,
    concurrency: int,
    seed: int,
    noise: bool,
    rate: str | None,
    seconds: float,
    report: Path | None,
    url: str,
    key: str,
) -> None:
    """Put load on a running service: budgets kept, how well they are used, how well predicted.

    With --rate requests come at random whatever became of those before, with budgets of 1, 2.5 or
    10 times an uncached picture. A rate of 1 is what the service makes when every picture takes 20
    uncached steps in the best batch.
    """
    from app.bench import Load, budget_range, run_load
    from app.open_loop import OpenLoad, rates_of, run_open
    from app.terminal import show_bench, show_rates

    if rate is not None:
        opened = OpenLoad(url, rates_of(rate), seconds, seed=seed, key=key)
        show_rates(run_open(opened, partial(click.echo, err=True)), report)
        return
    load = Load(url, requests, budget_range(budgets), concurrency, seed, noise, key)
    show_bench(run_load(load), report)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Name options as the service does, leaving out those that were not given."""
    named = {("latency_budget_ms" if k == "budget_ms" else k): v for k, v in options.items()}
    return {name: value for name, value in named.items() if value is not None}
