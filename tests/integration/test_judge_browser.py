"""The judging page in a real browser."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from app.judge.votes import Choice
from tests.integration.judging import running_judge

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page, Request

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

expect.set_options(timeout=20_000)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def watch(page: Page) -> list[str]:
    """Return what goes wrong on a page, filled as it happens."""
    wrong: list[str] = []

    def asked(request: Request) -> None:
        if httpx.URL(request.url).host != "127.0.0.1":
            wrong.append(request.url)

    page.on("request", asked)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text))
    return wrong


def test_pictures_that_did_not_arrive_are_not_voted_on(tmp_path: Path) -> None:
    with running_judge(tmp_path) as judge, sync_playwright() as playwright:
        with playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS)) as browser:
            page = browser.new_page()
            page.route("**/pictures/1/left", lambda route: route.abort())
            page.goto(judge.link("alice"))
            expect(page.locator("#pair")).to_have_attribute("aria-busy", "false")
            page.keyboard.press("ArrowLeft")
            expect(page.locator("#trouble")).to_contain_text("try again")
            page.keyboard.press("ArrowLeft")
            expect(page.locator("#trouble")).to_contain_text("try again")
            expect(page.locator("#pair")).to_have_attribute("aria-busy", "false")
            page.unroute_all()
            page.keyboard.press("ArrowLeft")
            expect(page.locator("#trouble")).to_be_empty()
            expect(page.locator("#left-picture")).to_be_visible()
            expect(page.locator("#count")).to_have_text("Pair 2 of 10")

        assert len(judge.votes.all()) == 1


def test_ten_pairs_are_judged_by_keyboard(tmp_path: Path) -> None:
    keys = ["ArrowLeft", "ArrowRight", "ArrowDown", "Space", "ArrowRight"] * 2
    with running_judge(tmp_path) as judge, sync_playwright() as playwright:
        with playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS)) as browser:
            page = browser.new_page()
            wrong = watch(page)
            page.goto(judge.link("alice"))
            for done, key in enumerate(keys):
                expect(page.locator("#count")).to_have_text(f"Pair {done + 1} of 10")
                expect(page.locator("#pair")).to_have_attribute("aria-busy", "false")
                page.keyboard.press(key)
            expect(page.locator("#thanks")).to_be_visible()
            page.keyboard.press("Backspace")
            expect(page.locator("#count")).to_have_text("Pair 10 of 10")
            expect(page.locator("#pair")).to_have_attribute("aria-busy", "false")
            page.get_by_role("button", name="No difference").click()
            expect(page.locator("#count")).to_have_text("All 10 pairs judged")
        given = judge.votes.all()

    assert wrong == []
    lefts = [(one.choice is Choice.FIRST) == one.first_is_left for one in given]
    ties = [one.choice is Choice.TIE for one in given]
    assert ties == [False, False, True, True, False, False, False, True, True, True]
    assert [lefts[n] for n in (0, 1, 4, 5, 6)] == [True, False, False, True, False]
