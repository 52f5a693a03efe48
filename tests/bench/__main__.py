"""Benchmarks beside other servers: `python -m tests.bench --help`."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress

from app.bench import PROMPTS
from app.errors import GatewayError, ServiceError
from app.open_loop import OpenLoad, rates_of
from tests import bundled
from tests.bench import overhead as idle
from tests.bench import overload as busy
from tests.bench import saturation as full
from tests.bench.engines import ENGINES, Engine
from tests.bench.reports import Report
from tests.bench.servers import FIRST_MS, OWN, PEERS, Server, install, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LOADED = ("timed", "model")
EXAMPLE = "\b\nExample:\n  python -m tests.bench "
names = ",".join(peer.name for peer in PEERS)
folder_option = click.option(
    "--folder", type=Path, default=Path("bench-peers"), show_default=True,
    help="Where the peers' environments are.",
)  # fmt: skip
peers_option = click.option(
    "--peers", default=names, show_default=True, help='Which of them; "" for none.'
)
out_option = click.option(
    "--out", type=Path, default=Path("bench-out"), show_default=True,
    help="Folder for the JSON report, the table in Markdown and the logs.",
)  # fmt: skip
resume_option = click.option(
    "--resume", is_flag=True, help="Leave out what the report in --out already has."
)
model_option = click.option("--model", default=bundled.NAME, show_default=True)


@click.group()
def main() -> None:
    """Measure this service beside LitServe, mosec, BentoML and Ray Serve."""


@main.command("install", epilog=EXAMPLE + "install --peers litserve,mosec")
@folder_option
@peers_option
def install_all(folder: Path, peers: str) -> None:
    """Make an environment for each peer, from PyPI."""
    folder.mkdir(parents=True, exist_ok=True)
    for peer in _named(peers):
        install(peer, folder.absolute())
        click.echo(f"{peer.name}: installed")


@main.command(epilog=EXAMPLE + "check --peers ray --engines nothing")
@folder_option
@peers_option
@out_option
@model_option
@click.option("--engines", default=",".join(ENGINES), show_default=True)
def check(folder: Path, peers: str, out: Path, model: str, engines: str) -> None:
    """Start each server with each engine, and ask for a picture."""
    for server in (OWN, *_named(peers)):
        for engine in _engines(engines, model, ENGINES):
            click.echo(f"{server.name}, {engine.name}: {_tried(server, folder, engine, out)}")


def _tried(server: Server, folder: Path, engine: Engine, out: Path) -> str:
    began_s = time.monotonic()
    try:
        with serving(server, folder.absolute(), engine, 30.0, _logs(out)) as running:
            running.generate(PROMPTS[0], FIRST_MS)
    except ServiceError as error:
        return str(error)
    return f"answers, {time.monotonic() - began_s:.1f} s in all"


@main.command(epilog=EXAMPLE + "overload --engines timed --peers litserve,mosec --resume")
@folder_option
@peers_option
@out_option
@resume_option
@model_option
@click.option("--engines", default="timed,model", show_default=True, help="timed, model or both.")
@click.option("--rates", default="0.7,1,1.5,3", show_default=True, help="Multiples of capacity.")
@click.option("--seconds", default=16.0, show_default=True, help="Of each rate with the model.")
@click.option("--timed-seconds", default=8.0, show_default=True, help="Of each rate with the stub.")
def overload(
    folder: Path, peers: str, out: Path, resume: bool, model: str, engines: str, rates: str,
    seconds: float, timed_seconds: float,
) -> None:  # fmt: skip
    """Send all the same Poisson load, with budgets of 1, 2.5 and 10 uncached pictures."""
    settings = {"rates": rates, "seconds": seconds, "timed_seconds": timed_seconds, "model": model}
    path = out / "overload.json"
    report = Report.opened(path, busy.COLUMNS, busy.rows, settings, resume=resume)
    servers, wanted = (OWN, *_named(peers)), _engines(engines, model)
    loads = {"timed": timed_seconds, "model": seconds}
    with _progress(len(wanted) * len(servers) * len(rates_of(rates))) as advance:
        for engine in wanted:
            load = OpenLoad("", rates_of(rates), loads[engine.name])
            part = report.part("engines", engine.name)
            for server in servers:
                with _left_out(server, report):
                    _overload(server, folder.absolute(), engine, load, part, report, advance)
    click.echo(report.table())


def _overload(
    server: Server, folder: Path, engine: Engine, load: OpenLoad, part: dict[str, Any],
    report: Report, advance: Callable[[str], None],
) -> None:  # fmt: skip
    done = part.setdefault("servers", {})
    if len(done.get(server.name, {})) == len(load.rates):
        return
    # This service comes first, as the capacity is what its worker has measured.
    patience_s = busy.Capacity(**part["capacity"]).patience_s if "capacity" in part else 60.0
    data = _logs(report.path.parent)
    with serving(server, folder, engine, patience_s, data) as running:
        if server is OWN:
            found = busy.Capacity.of(running.url)
            part["capacity"] = {
                "images_per_s": found.images_per_s,
                "uncached_ms": found.uncached_ms,
            }
        capacity = busy.Capacity(**part["capacity"])
        rates = dict(busy.overload(running, load, capacity, advance))
    done[server.name] = rates
    report.write()


@main.command(epilog=EXAMPLE + "overhead --seconds 10 --peers litserve,ray")
@folder_option
@peers_option
@out_option
@resume_option
@click.option("--seconds", default=10.0, show_default=True, help="For each number of callers.")
@click.option("--warm-seconds", default=3.0, show_default=True, help="Before that.")
def overhead(
    folder: Path, peers: str, out: Path, resume: bool, seconds: float, warm_seconds: float
) -> None:
    """Tell what an answer takes when there is nothing to do, by 1 and by 16 callers."""
    path, settings = out / "overhead.json", {"seconds": seconds, "warm_seconds": warm_seconds}
    report = Report.opened(path, idle.COLUMNS, idle.rows, settings, resume=resume)
    servers, done = (OWN, *_named(peers)), report.part("servers")
    done["bare engine"] = idle.bare()
    with _progress(len(servers) * len(idle.CALLERS)) as advance:
        for server in servers:
            if server.name in done:
                continue
            limits = idle.BUDGET_MS / 1000, _logs(out)
            with (
                _left_out(server, report),
                serving(server, folder.absolute(), Engine("nothing"), *limits) as running,
            ):
                done[server.name] = idle.overhead(running, warm_seconds, seconds, advance)
            report.write()
    click.echo(report.table())


@main.command(epilog=EXAMPLE + "saturation --engines model --seconds 60")
@out_option
@resume_option
@model_option
@click.option("--engines", default="model", show_default=True, help="timed, model or both.")
@click.option("--seconds", default=40.0, show_default=True, help="With the service.")
@click.option("--offline-seconds", default=15.0, show_default=True, help="Before and after it.")
def saturation(
    out: Path, resume: bool, model: str, engines: str, seconds: float, offline_seconds: float
) -> None:
    """Compare pictures a second of the full service with the best offline batch."""
    settings = {"model": model, "seconds": seconds, "offline_seconds": offline_seconds}
    path = out / "saturation.json"
    report = Report.opened(path, full.COLUMNS, full.rows, settings, resume=resume)
    wanted = _engines(engines, model)
    with _progress(3 * len(wanted)) as advance:
        for engine in wanted:
            part = report.part("engines", engine.name)
            if len(part.get("offline", [])) < 2:
                _saturation(engine, part, seconds, offline_seconds, _logs(out), advance)
                report.write()
    click.echo(report.table())


def _saturation(
    engine: Engine, part: dict[str, Any], seconds: float, offline_s: float, data: Path,
    advance: Callable[[str], None],
) -> None:  # fmt: skip
    """Measure with no service before and after the service, for the machine drifts."""
    advance(f"{engine.name}: offline")
    plan = full.best_plan(engine)
    before = full.offline(engine, plan, offline_s)
    advance(f"{engine.name}: {full.CALLERS} callers")
    with serving(OWN, Path(), engine, 60.0, data) as running:
        part["served"] = full.saturated(running, seconds)
    advance(f"{engine.name}: offline")
    part["offline"] = [before, full.offline(engine, plan, offline_s)]


@contextmanager
def _left_out(server: Server, report: Report) -> Iterator[None]:
    """Go on without a peer that fails, and say so in the report."""
    try:
        yield
    except ServiceError as error:
        if server is OWN:
            raise
        report.part("left_out")[server.name] = str(error)
        click.echo(f"left out: {error}", err=True)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """Show on stderr which of how many measurements is under way."""
    with Progress(console=Console(stderr=True)) as bars:
        task = bars.add_task("starting", total=total + 1)
        yield lambda what: bars.update(task, description=what, advance=1)


def _engines(text: str, model: str, known: Sequence[str] = LOADED) -> list[Engine]:
    wanted = text.split(",")
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise click.BadParameter(f"--engines takes {', '.join(known)}, not {', '.join(unknown)}")
    return [Engine(name, model) for name in wanted]


def _named(text: str) -> list[Server]:
    wanted = text.split(",") if text else []
    unknown = set(wanted) - {peer.name for peer in PEERS}
    if unknown:
        raise click.BadParameter(f"--peers takes {names}, not {', '.join(sorted(unknown))}")
    return [peer for peer in PEERS if peer.name in wanted]


def _logs(out: Path) -> Path:
    return (out / "logs").absolute()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers are ended on the way out
    try:
        main()
    except GatewayError as error:
        raise SystemExit(str(error)) from None
