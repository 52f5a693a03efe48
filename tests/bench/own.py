"""This service as benchmarks run it: `python -m tests.bench.own PORT DATA ENGINE MODEL`.

Store, gateway and worker as `blockcache up` starts them, so that all are children of one process.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.up import own_processes, run_all

if TYPE_CHECKING:
    from app.up import Processes


def main(port: str, data: str, engine: str, model: str) -> None:
    def processes(store_url: str) -> Processes:
        own = own_processes(int(port), model, store_url)
        if engine == "model":
            return own
        stub = (sys.executable, "-m", "tests.bench.stub_worker", engine, store_url)
        return {**own, "worker": stub}

    run_all(int(port), Path(data), processes)


if __name__ == "__main__":
    main(*sys.argv[1:])
