"""The judge over real HTTP, with its votes in a real SQLite file."""

from __future__ import annotations

import re
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
from click.testing import CliRunner

from app.judge.commands import invite, results
from app.judge.errors import JudgeError, OutOfTurn
from app.judge.sets import order
from app.judge.votes import Choice, Votes
from app.judge.web import WEB
from tests.integration.fake_worker import a_png
from tests.integration.judging import running_judge
from tests.picture_sets import GREYS, a_set, write_set

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.judging import Judge


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[Judge]:
    with running_judge(tmp_path) as judge:
        yield judge


@pytest.fixture
def alice(judge: Judge) -> Iterator[httpx.Client]:
    """Yield a client at alice's link."""
    with httpx.Client(base_url=judge.link("alice")) as client:
        yield client


def vote(client: httpx.Client, position: int, choice: str) -> httpx.Response:
    return client.put(f"votes/{position}", json={"choice": choice})


def side_of(client: httpx.Client, position: int, method: str) -> str:
    left = client.get(f"pictures/{position}/left").content
    return "left" if left == a_png(GREYS[method], 64, 64) else "right"


def test_a_vote_counts_for_the_method_whose_picture_it_was(
    judge: Judge, alice: httpx.Client
) -> None:
    for position in range(10):
        vote(alice, position, side_of(alice, position, "cached"))
    given = judge.votes.all()

    assert [one.choice for one in given] == [Choice.FIRST] * 10
    assert {one.first_is_left for one in given} == {True, False}
    assert {one.pair for one in given} == set(judge.pictures.pairs)


def test_either_side_shows_another_method(alice: httpx.Client) -> None:
    both = {alice.get(f"pictures/0/{side}").content for side in ("left", "right")}

    assert both == {a_png(grey, 64, 64) for grey in GREYS.values()}


def test_progress_tells_what_is_next_until_all_is_judged(alice: httpx.Client) -> None:
    assert alice.get("progress").json() == {
        "question": "Which picture do you like better?",
        "done": 0,
        "total": 10,
        "prompt": alice.get("progress").json()["prompt"],
    }
    told = [vote(alice, position, "tie").json() for position in range(10)]

    assert [one["done"] for one in told] == list(range(1, 11))
    assert all(one["prompt"].startswith("thing ") for one in told[:-1])
    assert told[-1]["prompt"] is None


def test_a_vote_can_be_taken_back_and_given_again(judge: Judge, alice: httpx.Client) -> None:
    vote(alice, 0, "left")
    vote(alice, 1, "left")
    assert alice.delete("votes/1").json()["done"] == 1
    vote(alice, 1, "tie")

    assert [one.choice is Choice.TIE for one in judge.votes.all()] == [False, True]


@pytest.mark.parametrize("position", [0, 2, 9])
def test_a_vote_on_another_pair_than_is_shown_is_refused(
    alice: httpx.Client, position: int
) -> None:
    vote(alice, 0, "left")
    refused = vote(alice, position, "right")

    assert refused.status_code == 409
    assert refused.json()["title"] == "Another pair is shown"
    assert alice.get("progress").json()["done"] == 1


def test_only_the_latest_vote_can_be_taken_back(alice: httpx.Client) -> None:
    assert alice.delete("votes/0").status_code == 409
    vote(alice, 0, "left")
    vote(alice, 1, "left")

    assert alice.delete("votes/0").status_code == 409
    assert alice.get("progress").json()["done"] == 2


def test_of_two_votes_at_once_one_counts(judge: Judge, alice: httpx.Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: vote(alice, 0, "left").status_code, range(8)))

    assert sorted(told) == [200, *[409] * 7]
    assert len(judge.votes.all()) == 1


def test_of_many_votes_at_once_all_but_one_are_out_of_turn(tmp_path: Path) -> None:
    votes, shown = Votes(tmp_path / "votes", "one"), order(a_set(8).pairs, "seed")
    annotator = votes.annotator(votes.invite("alice"))
    started = threading.Barrier(4)

    def cast(position: int) -> bool:
        started.wait(20)
        try:
            votes.cast(annotator, position, shown[position], Choice.TIE)
        except OutOfTurn:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        for position in range(8):
            assert sum(pool.map(cast, [position] * 4)) == 1


def test_annotators_do_not_meet(judge: Judge, alice: httpx.Client) -> None:
    vote(alice, 0, "left")
    with httpx.Client(base_url=judge.link("bob")) as bob:
        assert bob.get("progress").json()["done"] == 0


@pytest.mark.parametrize("choice", ["both", "", None, 1, ["left"]])
def test_a_choice_that_is_none_is_refused_by_naming_those_there_are(
    alice: httpx.Client, choice: object
) -> None:
    refused = alice.put("votes/0", json={"choice": choice})

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "choice"
    assert "'left', 'right' or 'tie'" in refused.json()["detail"]


def test_pictures_beyond_the_next_pair_are_not_shown(alice: httpx.Client) -> None:
    assert [alice.get(f"pictures/{n}/left").status_code for n in (0, 1, 2)] == [200, 200, 404]
    for position in range(10):
        vote(alice, position, "tie")
    assert alice.get("pictures/10/left").status_code == 404


@pytest.mark.parametrize("path", ["progress", "pictures/0/left", "votes/0"])
def test_an_unknown_link_shows_nothing(judge: Judge, path: str) -> None:
    method = "DELETE" if path.startswith("votes") else "GET"
    refused = httpx.request(method, f"{judge.url}/j/{'x' * 43}/{path}")

    assert refused.status_code == 404
    assert refused.json()["title"] == "The link is not known"


def test_an_unknown_link_says_so_in_a_page(judge: Judge) -> None:
    refused = httpx.get(f"{judge.url}/j/{'x' * 43}/")

    assert refused.status_code == 404
    assert "not known here" in refused.text


@pytest.mark.parametrize("path", ["../judge/web.py", "%2e%2e/judge/web.py", "index.html", "x"])
def test_no_file_is_served_but_those_of_the_page(judge: Judge, path: str) -> None:
    assert httpx.get(f"{judge.url}/static/{path}").status_code == 404


def test_the_page_runs_nothing_from_elsewhere_and_nothing_inline(
    judge: Judge, alice: httpx.Client
) -> None:
    page = alice.get("")
    policy = page.headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page.text)
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert all(httpx.URL(str(page.url)).join(one).host == "127.0.0.1" for one in named)
    assert all(httpx.get(page.url.join(one)).is_success for one in named)


def test_a_body_that_is_too_long_is_refused(alice: httpx.Client) -> None:
    assert alice.put("votes/0", content=b"x" * 5000).status_code == 413


def test_a_link_ends_when_there_is_a_newer_one(judge: Judge, alice: httpx.Client) -> None:
    vote(alice, 0, "left")
    token = judge.votes.invite("alice", again=True)

    assert alice.get("progress").status_code == 404
    renewed = httpx.get(f"{judge.url}/j/{token}/progress").json()
    assert renewed["done"] == 1


def test_the_file_keeps_no_token(judge: Judge, alice: httpx.Client, tmp_path: Path) -> None:
    token = str(alice.base_url).rstrip("/").rpartition("/")[2]

    assert token.encode() not in (tmp_path / "votes.sqlite3").read_bytes()


def test_votes_are_there_after_a_restart(judge: Judge, alice: httpx.Client, tmp_path: Path) -> None:
    vote(alice, 0, "tie")

    assert Votes(tmp_path / "votes.sqlite3", judge.pictures.id).all() == judge.votes.all()


def test_votes_on_another_set_are_refused(tmp_path: Path) -> None:
    Votes(tmp_path / "votes", "one")

    with pytest.raises(JudgeError, match="another picture set"):
        Votes(tmp_path / "votes", "other")


def test_a_file_that_holds_no_votes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "votes").write_text("no database, but text that is longer than a header " * 40)

    with pytest.raises(JudgeError, match="cannot be used"):
        Votes(tmp_path / "votes", "one")


def test_votes_of_a_later_version_are_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "votes") as db:
        db.execute("PRAGMA user_version = 2")
    db.close()

    with pytest.raises(JudgeError, match="reads format 1, not 2"):
        Votes(tmp_path / "votes", "one")


def test_invitations_print_a_link_for_each_name_once(tmp_path: Path) -> None:
    write_set(tmp_path, a_set())
    told = CliRunner().invoke(
        invite, [str(tmp_path), "alice", "bob", "--url", "https://j.example/"]
    )
    links = dict(line.split() for line in told.output.splitlines())

    assert list(links) == ["alice", "bob"]
    assert all(re.fullmatch(r"https://j\.example/j/[\w-]{43}/", link) for link in links.values())
    twice = CliRunner().invoke(invite, [str(tmp_path), "alice"])
    assert "alice has a link" in str(twice.exception)


def test_results_are_printed_and_written(judge: Judge, alice: httpx.Client, tmp_path: Path) -> None:
    for position in range(4):
        vote(alice, position, side_of(alice, position, "uncached"))
    table, single = tmp_path / "table.csv", tmp_path / "votes.csv"
    wish = [str(tmp_path), "--csv", str(table), "--votes-csv", str(single)]
    told = CliRunner().invoke(results, wish)

    assert told.exit_code == 0, told.exception
    assert "100.0 (" in told.output
    assert table.read_text().splitlines()[1].startswith("cached,uncached,10.0,10.0,4,1,0.0,0.0,")
    assert single.read_text().count("lose") == 4


def test_every_file_of_the_page_is_in_the_folder() -> None:
    assert {path.name for path in WEB.iterdir()} == {
        "icon.svg", "index.html", "judge.css", "judge.js", "unknown.html",
    }  # fmt: skip
