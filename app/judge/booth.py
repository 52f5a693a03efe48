"""What one annotator sees and does, by the token of their link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from app.judge.errors import NoSuchPair
from app.judge.sets import order
from app.judge.votes import Choice

if TYPE_CHECKING:
    from pathlib import Path

    from app.contract.picture_sets import PictureSet
    from app.judge.sets import Shown
    from app.judge.votes import Votes

Side = Literal["left", "right"]
Verdict = Literal["left", "right", "tie"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an annotator is; `prompt` is that of the pair to judge, None after the last."""

    question: str
    done: int
    total: int
    prompt: str | None


class Booth:
    """One picture set and the votes on it; every method raises UnknownLink for a wrong token."""

    def __init__(self, folder: Path, pictures: PictureSet, votes: Votes) -> None:
        self._folder, self._pictures, self._votes = folder, pictures, votes

    def progress(self, token: str) -> Progress:
        """Return how far the annotator is, and what is to be judged next."""
        annotator = self._votes.annotator(token)
        shown, done = self._order(annotator.seed), self._votes.done(annotator)
        left = shown[done:]
        prompt = self._pictures.requests[left[0].pair.request].prompt if left else None
        return Progress(self._pictures.question, done, len(shown), prompt)

    def vote(self, token: str, position: int, verdict: Verdict) -> None:
        """Keep a verdict on the pair that is shown; raises OutOfTurn for any other."""
        annotator = self._votes.annotator(token)
        shown = _at(self._order(annotator.seed), position)
        self._votes.cast(annotator, position, shown, _choice(shown, verdict))

    def take_back(self, token: str, position: int) -> None:
        """Forget the latest vote; raises OutOfTurn for any other."""
        self._votes.take_back(self._votes.annotator(token), position)

    def picture(self, token: str, position: int, side: Side) -> bytes:
        """Return a picture of a pair up to the one after that shown; raises NoSuchPair beyond."""
        annotator = self._votes.annotator(token)
        if position > self._votes.done(annotator) + 1:
            raise NoSuchPair("This pair is not shown yet.")
        shown = _at(self._order(annotator.seed), position)
        first, second = self._pictures.files(shown.pair)
        name = first if (side == "left") == shown.first_is_left else second
        return (self._folder / name).read_bytes()

    def _order(self, seed: str) -> tuple[Shown, ...]:
        return order(self._pictures.pairs, seed)


def _at(shown: tuple[Shown, ...], position: int) -> Shown:
    if not 0 <= position < len(shown):
        raise NoSuchPair("There is no such pair.")
    return shown[position]


def _choice(shown: Shown, verdict: Verdict) -> Choice:
    if verdict == "tie":
        return Choice.TIE
    return Choice.FIRST if (verdict == "left") == shown.first_is_left else Choice.SECOND
