"""Runs the judge on a port until it is told to stop."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import uvicorn

from app.judge.booth import Booth
from app.judge.web import create_app
from app.serve import bind, log_as_json
from app.terminal import console

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.picture_sets import PictureSet
    from app.judge.votes import Votes


def run(folder: Path, pictures: PictureSet, votes: Votes, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; raises PortTaken or SettingsError."""
    with bind(host, port) as bound:
        log_as_json()
        # uvicorn raises the signal again once it has stopped; by then it has been obeyed.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        _say_what_is_judged(pictures, votes, bound.getsockname()[1])
        server(Booth(folder, pictures, votes)).run(sockets=[bound])


def server(booth: Booth) -> uvicorn.Server:
    """Return the configured server."""
    # No access log: a link is a secret.
    config = uvicorn.Config(
        create_app(booth), access_log=False, log_config=None, server_header=False
    )
    return uvicorn.Server(config)


def _say_what_is_judged(pictures: PictureSet, votes: Votes, port: int) -> None:
    screen, names = console(), ", ".join(votes.annotators()) or "none yet: blockcache judge invite"
    screen.print(f"{len(pictures.pairs)} pairs on port {port}; annotators: {names}", markup=False)
