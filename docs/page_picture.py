"""Draw the playground for the documents: a running service, a real browser, one picture made.

Example:
  PYTHONPATH=. python docs/page_picture.py --url http://127.0.0.1:8000

"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.browser.visits import chromium, visit

PROMPTS = ("red heart", "sunflower", "smiling face with sunglasses", "red apple")
SEED = "7"


def main() -> None:
    """Make a few pictures, save how the page looks after the last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    out = Path(__file__).parent / "pictures/playground.png"
    parser.add_argument("--out", type=Path, default=out)
    options = parser.parse_args()
    with chromium() as browser, visit(browser, options.url) as visitor:
        visitor.open()
        for prompt in PROMPTS:
            visitor.page.get_by_label("Prompt", exact=True).fill(prompt)
            visitor.page.locator("#seed").evaluate(f"seed => seed.value = '{SEED}'")
            visitor.generate()
        visitor.page.mouse.move(0, 0)
        height = visitor.page.locator("#snippet-panel").bounding_box()
        size = {"width": 1280, "height": round(height["y"] if height else 900)}
        visitor.page.evaluate("scrollTo(0, 0)")
        visitor.page.screenshot(path=options.out, full_page=True, clip={"x": 0, "y": 0, **size})


if __name__ == "__main__":
    main()
