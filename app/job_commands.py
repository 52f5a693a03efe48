"""The sub-commands of `blockcache jobs`. What they need is imported when they run."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.contract.ports import JobStatus

store_option = click.option(
    "--store-url", required=True, envvar="BLOCKCACHE_STORE_URL", help="URL of the store."
)


@click.group(
    epilog="""\b
Examples:
  blockcache jobs list --store-url redis://localhost:6379
  blockcache jobs show 6f1c0d
  blockcache jobs requeue 6f1c0d
  blockcache jobs requeue --all
"""
)
def jobs() -> None:
    """List, look at and requeue dead letters: jobs that were given up.

    The store is named by --store-url or BLOCKCACHE_STORE_URL.
    """


@jobs.command("list")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Most to list."
)
@store_option
def list_jobs(limit: int, store_url: str) -> None:
    """List the latest dead letters, each with the reason it was given up for."""
    show_dead(asyncio.run(_latest(store_url, limit)))


@jobs.command()
@click.argument("job_id")
@store_option
def show(job_id: str, store_url: str) -> None:
    """Show all that is known of the dead letter JOB_ID as JSON, its prompt included."""
    click.echo(json.dumps(asyncio.run(_described(store_url, job_id)), indent=2))


@jobs.command()
@click.argument("job_ids", metavar="[JOB_ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Requeue every dead letter.")
@store_option
def requeue(job_ids: Sequence[str], everything: bool, store_url: str) -> None:
    """Queue dead letters again, each with its whole budget and all its attempts."""
    if bool(job_ids) == everything:
        raise click.UsageError("Name the jobs to requeue, or say --all.")
    for job_id in asyncio.run(_requeued(store_url, job_ids)):
        click.echo(job_id)


def show_dead(dead: Sequence[JobStatus]) -> None:
    """Print dead letters as a table."""
    from rich.table import Table

    from app.dead_letters import moment, reason
    from app.terminal import console

    if not dead:
        click.echo("There are no dead letters.")
        return
    table = Table("job", "model", "created", "attempts", "reason")
    table.columns[0].no_wrap = True  # an id that is cut short cannot be requeued
    for status in dead:
        words = (status.id, status.model, moment(status.created_unix_ms))
        table.add_row(*words, str(status.attempt), reason(status))
    console().print(table)


async def _latest(store_url: str, limit: int) -> Sequence[JobStatus]:
    from app.dead_letters import dead_letters

    async with dead_letters(store_url) as letters:
        return await letters.latest(limit)


async def _described(store_url: str, job_id: str) -> dict[str, object]:
    from app.dead_letters import dead_letters

    async with dead_letters(store_url) as letters:
        return await letters.describe(job_id)


async def _requeued(store_url: str, job_ids: Sequence[str]) -> Sequence[str]:
    from app.dead_letters import dead_letters

    async with dead_letters(store_url) as letters:
        if not job_ids:
            return await letters.requeue_all()
        for job_id in job_ids:
            await letters.requeue(job_id)
    return job_ids
