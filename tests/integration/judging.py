"""A real judge on a port of its own, with a set of ten pairs and one annotator."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.judge.booth import Booth
from app.judge.serving import server
from app.judge.votes import Votes
from app.serve import bind
from tests.integration.gateways import wait_until
from tests.picture_sets import a_set, write_set

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.contract.picture_sets import PictureSet


@dataclass(frozen=True, slots=True)
class Judge:
    """A running judge: where it is, what is judged, and the votes."""

    url: str
    pictures: PictureSet
    votes: Votes

    def link(self, name: str) -> str:
        return f"{self.url}/j/{self.votes.invite(name)}/"


@contextmanager
def running_judge(folder: Path) -> Iterator[Judge]:
    pictures = write_set(folder, a_set())
    votes = Votes(folder / "votes.sqlite3", pictures.id)
    serving = server(Booth(folder, pictures, votes))
    with bind("127.0.0.1", 0) as bound:
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [bound]})
        thread.start()
        wait_until(lambda: serving.started)
        try:
            yield Judge(f"http://127.0.0.1:{bound.getsockname()[1]}", pictures, votes)
        finally:
            serving.should_exit = True
            thread.join(20)
