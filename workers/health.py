"""Whether the worker on this machine is ready: `python -m workers.health` for probes."""

from __future__ import annotations

import argparse
import re
import sys
import time
import urllib.error
import urllib.request

PUBLISHED = re.compile(
    r"^blockcache_card_published_timestamp_seconds (\S+)$", re.MULTILINE | re.ASCII
)
TIMEOUT_S = 3.0
MAX_BYTES = 1_000_000


def trouble(url: str, max_age_s: float) -> str | None:
    """Return in words why the worker whose metrics are at `url` is not ready, None if it is."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 always http
            text = answer.read(MAX_BYTES).decode()
    except (OSError, urllib.error.URLError) as error:
        return f"its metrics do not answer: {error}"
    found = PUBLISHED.search(text)
    published_s = float(found[1]) if found else 0.0
    if published_s == 0:
        return "it is still starting"
    age_s = time.time() - published_s
    return f"it has not reached the store for {age_s:.0f} s" if age_s > max_age_s else None


def main() -> None:
    """Exit with 0 when the worker is ready, with 1 and the reason otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics-port", type=int, default=9101)
    parser.add_argument("--max-age-s", type=float, default=15.0)
    options = parser.parse_args()
    reason = trouble(f"http://127.0.0.1:{options.metrics_port}/metrics", options.max_age_s)
    if reason:
        sys.exit(f"The worker is not ready: {reason}.")


if __name__ == "__main__":
    main()
