"""A browser on the page, and everything that may not happen there."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

CHROMIUM = "chromium"
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
BUILD = Path(__file__).parents[2] / "build" / "page"
# A refusal is an answer like any other; Chromium writes a line about each.
REFUSAL = "Failed to load resource: the server responded with a status of"


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the machine's Chromium; skips the test where there is none, fails it on CI."""
    missing = pytest.fail if os.environ.get("CI") else pytest.skip
    binary = shutil.which(CHROMIUM)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("no playwright: pip install -c constraints.txt -e '.[dev]'")
    if binary is None:
        missing("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=list(OPTIONS))
        yield browser
        browser.close()


@dataclass  # without slots: playwright keeps notes on the objects whose methods it calls
class Visit:
    """One visitor. `wrong` is what the browser complained about or asked elsewhere for."""

    page: Page
    url: str
    wrong: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    def watch(self) -> None:
        """Write down whatever goes wrong from now on."""
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", self._asked)
        self.page.on("response", self._answered)

    def open(self, view: str = "") -> None:
        """Go to a view and wait until the service's offer is shown."""
        self.page.goto(f"{self.url}/{view and '#'}{view}")
        self.page.locator("#budget:enabled").wait_for(state="attached")

    def generate(self) -> None:
        """Ask for a picture and wait for it."""
        self.page.get_by_role("button", name="Generate").click()
        self.finished()

    def finished(self) -> None:
        """Wait until the finished picture is shown."""
        self.page.locator("#download").wait_for()

    def budget(self, ms: int) -> None:
        """Type a budget."""
        self.page.get_by_label("Latency budget in milliseconds").fill(str(ms))

    def small_budget_ms(self) -> int:
        """Return a budget that buys a cached plan on a machine of any speed."""
        refused = self.page.request.post(f"{self.url}/plan", data={"latency_budget_ms": 1})
        least_ms: float = refused.json()["minimum_latency_ms"]
        return round(2 * least_ms)

    def picture_size(self) -> tuple[int, int]:
        """Return the sides of the picture that is shown."""
        size = self.page.evaluate("[image.naturalWidth, image.naturalHeight]")
        return size[0], size[1]

    def violations(self) -> list[str]:
        """Return what axe-core finds wrong with the page as it is."""
        self.page.evaluate(AXE.read_text())
        found: list[dict[str, Any]] = self.page.evaluate("axe.run().then(r => r.violations)")
        return [f"{each['id']}: {[node['target'] for node in each['nodes']]}" for each in found]

    def wear(self, scheme: Literal["light", "dark"]) -> None:
        """Prefer light or dark from now on."""
        self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")

    @contextmanager
    def narrow(self) -> Iterator[None]:
        """Look at the page as wide as a phone's."""
        (narrow, high), (width, height) = SIZES["phone"], SIZES["desktop"]
        self.page.set_viewport_size({"width": narrow, "height": high})
        yield
        self.page.set_viewport_size({"width": width, "height": height})

    def keep(self, name: str) -> None:
        """Save how the whole page looks, and that nothing of it is too wide."""
        BUILD.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=BUILD / f"{name}.png", full_page=True)
        wide = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name} is {wide} px too wide"

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(REFUSAL):
            self.wrong.append(message.text)

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"blob", "data"} and f"{parts.scheme}://{parts.netloc}" != self.url:
            self.wrong.append(f"asked {request.url}")

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.refused.append(response.status)


@contextmanager
def visit(browser: Browser, url: str, size: str = "desktop") -> Iterator[Visit]:
    """Give a visitor of the page; fails if anything went wrong there."""
    width, height = SIZES[size]
    phone = size == "phone"
    context = browser.new_context(
        viewport={"width": width, "height": height},
        is_mobile=phone,
        has_touch=phone,
        color_scheme="light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(30_000)
    visitor = Visit(context.new_page(), url)
    visitor.watch()
    yield visitor
    context.close()
    assert visitor.wrong == []
