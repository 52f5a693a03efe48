"""Picture sets for blind judging: what makes them writes a manifest, the judge reads it.

A set is a folder with `manifest.json` and one PNG a method and request. Files have random names,
so that nothing a judge can see tells which method made a picture.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self

from app.contract.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORMAT = 1
MANIFEST = "manifest.json"
QUESTION = "Which picture is better?"
FILE = re.compile(r"[0-9a-f]{32}\.png", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """What every method was asked to draw."""

    prompt: str
    seed: int


@dataclass(frozen=True, slots=True)
class Pictured:
    """A method, the median milliseconds its denoising took, and its file for each request."""

    name: str
    median_ms: float
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two methods, by their place in the set: wins and losses are those of the first."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class Pair:
    """What a judge sees at once: a comparison and a request, by their places in the set."""

    comparison: int
    request: int


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Pictures of several methods for the same requests; raises ValueError when they do not match.

    `id` is this set's alone: votes are kept for it. `made` says by which model, device and versions
    it was made.
    """

    id: str
    question: str
    requests: tuple[Request, ...]
    methods: tuple[Pictured, ...]
    comparisons: tuple[Comparison, ...]
    made: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.id and self.question and self.requests and self.comparisons):
            raise ValueError("it needs an id, a question, requests and comparisons")
        names = [method.name for method in self.methods]
        if len(set(names)) != len(names):
            raise ValueError("two methods have the same name")
        for method in self.methods:
            _check_files(method, len(self.requests))
        for one in self.comparisons:
            _check_comparison(one, len(self.methods))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """Everything there is to judge: each comparison on each request."""
        requests = range(len(self.requests))
        return tuple(Pair(c, r) for c in range(len(self.comparisons)) for r in requests)

    def files(self, pair: Pair) -> tuple[str, str]:
        """Return the files of a pair, the first method's first."""
        shown = self.comparisons[pair.comparison]
        first, second = self.methods[shown.first], self.methods[shown.second]
        return first.files[pair.request], second.files[pair.request]

    def encode(self) -> str:
        """Return the manifest's text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read a manifest; raises DecodeError saying what is wrong with it."""
        try:
            return cls(**_fields(json.loads(text)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DecodeError(f"the manifest of the picture set: {error!r}", text) from error


def new_file() -> str:
    """Return a name for a picture that tells nothing of it."""
    return f"{secrets.token_hex(16)}.png"


def _fields(data: dict[str, Any]) -> dict[str, Any]:
    if data.pop("format") != FORMAT:
        raise ValueError(f"this version reads format {FORMAT}")
    listed = {name: tuple(read(one) for one in data[name]) for name, read in PARTS.items()}
    return {**data, **listed}


PARTS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "requests": lambda data: Request(str(data["prompt"]), int(data["seed"])),
    "methods": lambda data: Pictured(
        str(data["name"]), float(data["median_ms"]), tuple(data["files"])
    ),
    "comparisons": lambda data: Comparison(int(data["first"]), int(data["second"])),
}


def _check_files(method: Pictured, wanted: int) -> None:
    if len(method.files) != wanted:
        raise ValueError(f"{method.name} has {len(method.files)} pictures of {wanted}")
    # Names are opened as files, so they must not lead anywhere else.
    if not all(FILE.fullmatch(name) for name in method.files):
        raise ValueError(f"{method.name} has a file that no set has")


def _check_comparison(one: Comparison, methods: int) -> None:
    if one.first == one.second or not {one.first, one.second} <= set(range(methods)):
        raise ValueError(f"{one.first} against {one.second} is no comparison of {methods} methods")
