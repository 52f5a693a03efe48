"""The documents as tests read them: pages, their tables, links and examples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LOGICAL_LINE = re.compile(r"(?:.*\\\n)*.+")
COMMENT = re.compile(r"(^|\s+)#\s.*$")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Example:
    """A block of code in a page, and the line it begins at."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{named(self.page)}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """One command of an example, on one line and without comments."""

    page: Path
    line: int
    text: str

    @property
    def name(self) -> str:
        return f"{named(self.page)}:{self.line}: {self.text[:60]}"


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def examples(page: Path) -> Iterator[Example]:
    text = page.read_text("utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Example(page, line, found[1], found[2])


def commands(page: Path) -> Iterator[Command]:
    for example in examples(page):
        if example.language == "sh":
            for found in LOGICAL_LINE.finditer(example.text):
                line = example.line + 1 + example.text.count("\n", 0, found.start())
                if text := COMMENT.sub("", found[0].replace("\\\n", " ")).strip():
                    yield Command(page, line, " ".join(text.split()))


def links(page: Path) -> list[str]:
    return LINK.findall(BLOCK.sub("", page.read_text("utf-8")))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as GitHub makes them."""
    headings = HEADING.findall(BLOCK.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def rows(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading, without its own first line."""
    section = page.read_text("utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
