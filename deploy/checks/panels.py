"""Ask a live Prometheus every panel's query: an error or an empty answer fails.

python -m deploy.checks.panels http://127.0.0.1:9090
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

DASHBOARDS = Path(__file__).parents[1] / "grafana" / "dashboards"
VARIABLES = {"$__rate_interval": "1m", "$__interval": "15s", "$__range": "30m", "$model": ".*"}
# Series that only machines with an NVIDIA GPU have.
WITH_GPU = "blockcache_gpu_temperature_celsius"
TIMEOUT_S = 10.0


def queries() -> Iterator[tuple[str, str]]:
    """Yield dashboard / panel and query of every panel of every dashboard."""
    for path in sorted(DASHBOARDS.glob("*.json")):
        board = json.loads(path.read_text("utf-8"))
        for panel in _panels(board["panels"]):
            for target in panel["targets"]:
                yield f"{board['title']} / {panel['title']}", target["expr"]


def trouble(prometheus_url: str, query: str) -> str | None:
    """Return what is wrong with the answer to a query now, None when it has values."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    asked = urllib.parse.urlencode({"query": query})
    url = f"{prometheus_url}/api/v1/query?{asked}"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        return error.read().decode()
    return None if found["data"]["result"] else f"no value for {query}"


def _panels(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in found:
        if panel["type"] == "row":
            yield from _panels(panel["panels"])
        else:
            yield panel


def main() -> None:
    """Print what is wrong, a line a query; exit with 1 if anything is."""
    url = sys.argv[1].rstrip("/")
    gpu = trouble(url, "blockcache_gpu_memory_bytes > 0") is None
    wrong = [
        f"{panel}: {reason}"
        for panel, query in queries()
        if (gpu or WITH_GPU not in query) and (reason := trouble(url, query))
    ]
    sys.stdout.write("".join(f"{line}\n" for line in wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
