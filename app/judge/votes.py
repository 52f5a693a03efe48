"""Annotators and their votes, in one SQLite file beside the pictures."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from app.contract.picture_sets import Pair
from app.judge.errors import JudgeError, OutOfTurn, UnknownLink
from app.keys import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from app.judge.sets import Shown

FORMAT = 1
TOKEN_BYTES = 32
PATIENCE_S = 10.0
SCHEMA = """
CREATE TABLE picture_set (id TEXT NOT NULL);
CREATE TABLE annotators (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  token_sha256 TEXT NOT NULL UNIQUE,
  seed TEXT NOT NULL
);
CREATE TABLE votes (
  annotator INTEGER NOT NULL REFERENCES annotators (id),
  position INTEGER NOT NULL,
  comparison INTEGER NOT NULL,
  request INTEGER NOT NULL,
  first_is_left INTEGER NOT NULL CHECK (first_is_left IN (0, 1)),
  choice TEXT NOT NULL CHECK (choice IN ('first', 'second', 'tie')),
  voted_unix_s INTEGER NOT NULL DEFAULT (CAST(strftime('%s', 'now') AS INTEGER)),
  PRIMARY KEY (annotator, position),
  UNIQUE (annotator, comparison, request)
);
"""
CAST = """
INSERT INTO votes (annotator, position, comparison, request, first_is_left, choice)
VALUES (?, ?, ?, ?, ?, ?)
"""


class Choice(StrEnum):
    """Which method's picture was chosen, wherever it was shown."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"


@dataclass(frozen=True, slots=True)
class Annotator:
    """Who judges; `seed` decides in which order and on which side pictures appear."""

    id: int
    name: str
    seed: str


@dataclass(frozen=True, slots=True)
class Vote:
    """What one annotator said of one pair."""

    annotator: str
    pair: Pair
    first_is_left: bool
    choice: Choice
    voted_unix_s: int


class Votes:
    """The votes on one picture set; every call is one transaction, so processes may share the file.

    Raises JudgeError when the file is none of this program's, or holds votes on another set.
    """

    def __init__(self, path: Path, set_id: str) -> None:
        self._path = path
        try:
            self._prepare(set_id)
        except sqlite3.Error as error:
            raise JudgeError(f"the votes file {path} cannot be used: {error}") from error

    def invite(self, name: str, *, again: bool = False) -> str:
        """Return a token for a new annotator; `again` replaces the token of one there is."""
        if not NAME.fullmatch(name):
            raise JudgeError(f"{name!r}: a name has up to 64 letters, digits, dots, _ or -")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with self._transaction() as db:
            known = db.execute("SELECT id FROM annotators WHERE name = ?", (name,)).fetchone()
            if known and not again:
                raise JudgeError(f"{name} has a link; --again makes a new one and ends the old")
            if known:
                change = "UPDATE annotators SET token_sha256 = ? WHERE id = ?"
                db.execute(change, (_digest(token), known[0]))
            else:
                add = "INSERT INTO annotators (name, token_sha256, seed) VALUES (?, ?, ?)"
                db.execute(add, (name, _digest(token), secrets.token_hex(16)))
        return token

    def annotator(self, token: str) -> Annotator:
        """Return whose token this is; raises UnknownLink."""
        find = "SELECT id, name, seed FROM annotators WHERE token_sha256 = ?"
        with self._transaction() as db:
            # Looked up by its hash: how long that takes tells nothing of the tokens there are.
            found = db.execute(find, (_digest(token),)).fetchone()
        if found is None:
            raise UnknownLink("This link is not known here; ask for a new one.")
        return Annotator(*found)

    def annotators(self) -> tuple[str, ...]:
        """Return the names of all annotators."""
        with self._transaction() as db:
            return tuple(name for (name,) in db.execute("SELECT name FROM annotators ORDER BY id"))

    def done(self, annotator: Annotator) -> int:
        """Return how many pairs an annotator has judged."""
        with self._transaction() as db:
            return _done(db, annotator)

    def cast(self, annotator: Annotator, position: int, shown: Shown, choice: Choice) -> None:
        """Keep a vote on the pair at `position`; raises OutOfTurn unless it is the next one."""
        values = (shown.pair.comparison, shown.pair.request, shown.first_is_left, choice)
        with self._transaction() as db:
            if position != _done(db, annotator):
                raise OutOfTurn("This pair is not the one that is shown; load the page again.")
            db.execute(CAST, (annotator.id, position, *values))

    def take_back(self, annotator: Annotator, position: int) -> None:
        """Forget the vote at `position`; raises OutOfTurn unless it is the latest."""
        with self._transaction() as db:
            if position < 0 or position != _done(db, annotator) - 1:
                raise OutOfTurn("Only the latest vote can be taken back; load the page again.")
            forget = "DELETE FROM votes WHERE annotator = ? AND position = ?"
            db.execute(forget, (annotator.id, position))

    def all(self) -> list[Vote]:
        """Return every vote, by annotator in the order they were given."""
        with self._transaction() as db:
            found = db.execute(
                "SELECT name, comparison, request, first_is_left, choice, voted_unix_s FROM votes"
                " JOIN annotators ON annotators.id = votes.annotator ORDER BY annotator, position"
            ).fetchall()
        return [
            Vote(name, Pair(comparison, request), bool(left), Choice(choice), voted)
            for name, comparison, request, left, choice, voted in found
        ]

    def _prepare(self, set_id: str) -> None:
        with self._transaction() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                _create(db, set_id)
            elif version != FORMAT:
                raise JudgeError(f"{self._path}: this version reads format {FORMAT}, not {version}")
            if db.execute("SELECT id FROM picture_set").fetchone() != (set_id,):
                raise JudgeError(f"{self._path} holds votes on another picture set")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        opened = sqlite3.connect(self._path, timeout=PATIENCE_S, isolation_level=None)
        with closing(opened) as db:
            db.execute("PRAGMA foreign_keys = ON")
            # Takes the write lock at once, so that what is read here is true until the end.
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.rollback()
                raise
            db.commit()


def _create(db: sqlite3.Connection, set_id: str) -> None:
    for statement in filter(str.strip, SCHEMA.split(";")):
        db.execute(statement)
    db.execute("INSERT INTO picture_set VALUES (?)", (set_id,))
    db.execute(f"PRAGMA user_version = {FORMAT}")


def _done(db: sqlite3.Connection, annotator: Annotator) -> int:
    count = "SELECT count(*) FROM votes WHERE annotator = ?"
    return int(db.execute(count, (annotator.id,)).fetchone()[0])


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
