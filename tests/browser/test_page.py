"""The page as people meet it: a real browser before the real service and its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from app.keys import new_key
from tests.browser.visits import SIZES, Visit, visit
from tests.browser.wire import wire_to
from tests.bundled import SIDE, book
from tests.e2e.processes import asleep, process, wait_ready
from tests.integration.gateways import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.e2e.processes import Service

AMPLE_MS = 20_000
MOST_BYTES = 200_000
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
VIEWS = {
    "playground": "#download",
    "status": "#status canvas",
    "compare": "#compare-prompt",
}


def test_a_picture_needs_one_click_and_shows_how_it_was_made(visitor: Visit) -> None:
    visitor.open()
    visitor.budget(AMPLE_MS)
    visitor.generate()

    assert visitor.picture_size() == (SIDE, SIDE)
    page = visitor.page
    assert page.locator("#verdict").inner_text().startswith("Budget kept")
    assert page.locator("#timing").inner_text().count("ms") >= 5
    label = page.locator("#schedule canvas").get_attribute("aria-label") or ""
    assert f"{len(book().graph)} units by 6 steps" in label
    assert "dpmpp" in page.locator("#plan-line").inner_text()


def test_the_page_is_small_and_needs_few_requests(visitor: Visit) -> None:
    visitor.open()
    sizes = visitor.page.evaluate(
        "performance.getEntriesByType('resource').concat("
        "performance.getEntriesByType('navigation')).map(each => each.transferSize)"
    )

    assert 10 < len(sizes) < 30
    assert 10_000 < sum(sizes) <= MOST_BYTES


def test_pictures_on_the_way_are_shown_before_the_finished_one(visitor: Visit) -> None:
    visitor.open()
    visitor.page.evaluate(
        "window.seen = []; new MutationObserver(() => seen.push(image.alt))"
        ".observe(image, {attributeFilter: ['src']})"
    )
    visitor.budget(AMPLE_MS)
    visitor.generate()
    seen = visitor.page.evaluate("seen")

    assert any(alt.startswith("Preview after step") for alt in seen)
    assert seen[-1] == "Picture for the prompt: red apple"


def test_the_scale_says_what_each_budget_buys(visitor: Visit) -> None:
    visitor.open()
    slider, buys = visitor.page.locator("#budget"), visitor.page.locator("#buys")
    slider.press("Home")
    assert "Nothing is that fast here" in buys.inner_text()
    slider.press("End")
    best = buys.inner_text()
    assert best.startswith("Quality 0.")
    slider.press("ArrowLeft")
    assert "too small" in visitor.page.locator("#frontier").inner_html()
    assert "quality" in (slider.get_attribute("aria-valuetext") or "")


def test_a_budget_that_is_too_small_is_mended_by_a_button(visitor: Visit) -> None:
    visitor.open()
    visitor.budget(3)
    visitor.page.get_by_role("button", name="Generate").click()
    mend = visitor.page.get_by_role("button", name="the smallest that works now")
    mend.wait_for()
    with visitor.page.expect_response("**/jobs") as answer:
        mend.click()

    assert answer.value.ok
    assert visitor.refused == [422]
    assert int(visitor.page.locator("#budget-ms").input_value()) > 3


def test_what_is_wrong_is_said_beside_its_field(visitor: Visit) -> None:
    visitor.open()
    visitor.page.get_by_label("Prompt", exact=True).fill("  ")
    visitor.page.get_by_role("button", name="Generate").click()

    prompt = visitor.page.locator("#prompt")
    assert prompt.get_attribute("aria-invalid") == "true"
    assert visitor.page.locator("#prompt-error").inner_text() == (
        "Say what the picture should show."
    )
    prompt.fill("green apple")
    visitor.generate()


def test_a_job_can_be_cancelled(visitor: Visit, running: Service) -> None:
    visitor.open()
    visitor.budget(AMPLE_MS)
    with asleep(running):
        visitor.page.get_by_role("button", name="Generate").click()
        visitor.page.get_by_text("Next in the queue.").wait_for()
        visitor.page.get_by_role("button", name="Cancel").click()
        visitor.page.get_by_text("Cancelled.").wait_for()

    visitor.generate()


def test_a_job_goes_on_when_the_connection_was_lost(browser: Browser, running: Service) -> None:
    with wire_to(running.url) as wire, visit(browser, wire.url) as visitor:
        visitor.open()
        visitor.budget(AMPLE_MS)
        with asleep(running):
            visitor.page.get_by_role("button", name="Generate").click()
            visitor.page.get_by_text("Next in the queue.").wait_for()
            wire.cut()
            visitor.page.get_by_text("The connection is lost").wait_for()
            wire.mend()
        visitor.finished()
        visitor.wrong = [wrong for wrong in visitor.wrong if "net::ERR" not in wrong]


def test_a_page_that_is_loaded_again_goes_on_with_its_job(visitor: Visit, running: Service) -> None:
    visitor.open()
    visitor.budget(AMPLE_MS)
    with asleep(running):
        visitor.page.get_by_role("button", name="Generate").click()
        visitor.page.get_by_text("Next in the queue.").wait_for()
        visitor.page.reload()
        visitor.page.get_by_text("Next in the queue.").wait_for()
    visitor.finished()


def test_what_is_typed_stays_text(visitor: Visit) -> None:
    visitor.open()
    prompt = "<img src=x onerror=alert(1)><b>cat</b>"
    visitor.page.get_by_label("Prompt", exact=True).fill(prompt)
    visitor.budget(AMPLE_MS)
    visitor.generate()

    assert visitor.page.locator("#thumbs span").first.inner_text() == prompt
    assert prompt in visitor.page.locator("#snippet").inner_text()
    assert visitor.page.locator("main b:has-text('cat'), img[src=x]").count() == 0


def test_earlier_pictures_are_kept_in_the_browser_until_they_are_deleted(visitor: Visit) -> None:
    visitor.open()
    visitor.budget(AMPLE_MS)
    for prompt in ("red heart", "yellow star"):
        visitor.page.get_by_label("Prompt", exact=True).fill(prompt)
        visitor.generate()
    visitor.open()
    visitor.page.reload()
    visitor.page.get_by_role("button", name="red heart").click()

    assert visitor.page.get_by_label("Prompt", exact=True).input_value() == "red heart"
    assert visitor.picture_size() == (SIDE, SIDE)
    visitor.page.get_by_role("button", name="Delete all").click()
    visitor.page.locator("#history").wait_for(state="hidden")
    visitor.page.reload()
    visitor.page.locator("#budget:enabled").wait_for(state="attached")
    assert visitor.page.locator("#thumbs li").count() == 0


def test_the_request_is_shown_as_code(visitor: Visit) -> None:
    visitor.open()
    visitor.budget(777)
    snippet = visitor.page.locator("#snippet")
    assert '"latency_budget_ms": 777' in snippet.inner_text()
    visitor.page.get_by_role("tab", name="Python").click()
    compile(snippet.inner_text(), "snippet", "exec")
    visitor.page.keyboard.press("ArrowRight")

    assert "client.images.generate(" in snippet.inner_text()
    assert f'base_url="{visitor.url}/v1"' in snippet.inner_text()
    compile(snippet.inner_text(), "snippet", "exec")


def test_a_service_with_keys_is_opened_by_one(
    browser: Browser, running: Service, tmp_path: Path
) -> None:
    secret, key = new_key("alice")
    (tmp_path / "keys.txt").write_text(key.line)
    port = free_port()
    options = ["--store-url", running.store_url, "--port", str(port)]
    command = ["gateway", *options, "--keys-file", str(tmp_path / "keys.txt")]
    with process(command, tmp_path / "gateway.log"):
        url = f"http://127.0.0.1:{port}"
        wait_ready(url)
        with visit(browser, url) as visitor:
            page = visitor.page
            page.goto(url)
            for typed in ("bck_wrong", secret):
                page.get_by_label("API key", exact=True).fill(typed)
                page.get_by_role("button", name="Use this key").click()
            visitor.budget(AMPLE_MS)
            visitor.generate()
            page.reload()
            page.locator("#budget:enabled").wait_for(state="attached")

            assert set(visitor.refused) == {401}
            assert "$BLOCKCACHE_KEY" in page.locator("#snippet").inner_text()
            assert secret not in page.content()


def test_everything_works_by_keyboard(visitor: Visit) -> None:
    visitor.open()
    page = visitor.page
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.href"))
    page.locator("#prompt").focus()
    page.keyboard.press("Control+Enter")
    visitor.finished()

    assert reached.index("prompt") < reached.index("budget-ms") < reached.index("budget")
    assert reached.index("budget") < reached.index("generate")


def test_the_status_shows_workers_and_what_was_made(visitor: Visit) -> None:
    visitor.open()
    visitor.generate()
    visitor.page.get_by_role("link", name="Status").click()
    visitor.page.locator("#status canvas").first.wait_for()

    tiles = visitor.page.locator("#status .tiles").inner_text()
    assert "Pictures a second" in tiles
    assert "hit ratio" in tiles
    assert visitor.page.locator("#status .state.ready").count() == 1
    assert visitor.page.locator(f"#status td:has-text('{SIDE}×{SIDE}')").count() == 2


def test_plans_are_compared_by_the_same_prompt_and_seed(visitor: Visit) -> None:
    visitor.open("compare")
    page = visitor.page
    page.get_by_label("Budget in ms").fill(str(visitor.small_budget_ms()))
    page.get_by_label("Seed").last.fill("7")
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Seed 7.").wait_for()

    assert page.locator("#compare .card img").count() == 4
    numbers = page.locator("#compare .numbers").all_inner_texts()
    assert all("ms" in each and "Steps" in each for each in numbers)
    assert all("dB" in each for each in numbers[:-1])
    assert visitor.violations() == []
    visitor.keep("compared")
    with visitor.narrow():
        visitor.keep("compared-phone")
    before = page.locator(".difference canvas").screenshot()
    page.get_by_label("Show what differs").check()
    assert page.locator(".difference canvas").screenshot() != before


@pytest.mark.parametrize("size", list(SIZES))
def test_every_view_is_accessible_and_fits(browser: Browser, running: Service, size: str) -> None:
    with visit(browser, running.url, size) as visitor:
        visitor.open()
        visitor.budget(AMPLE_MS)
        visitor.generate()
        found = {}
        for view, ready in VIEWS.items():
            visitor.page.evaluate(f"location.hash = '{view}'")
            visitor.page.locator(ready).first.wait_for()
            for scheme in SCHEMES:
                visitor.wear(scheme)
                name = f"{view}-{size}-{scheme}"
                found[name] = visitor.violations()
                visitor.keep(name)

    assert {name: wrong for name, wrong in found.items() if wrong} == {}
    assert len(found) == 2 * len(VIEWS)
