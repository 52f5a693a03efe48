"""What the API description allows, and what it does not, is answered as it says, never by chance.

    FUZZ_EXAMPLES=200 pytest tests/fuzz

tries more of each operation, and first every edge of every field.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from tests.integration.fake_worker import FakeWorker

SHORT = "5"
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", SHORT)
PHASES = "fuzzing,stateful" if EXAMPLES == SHORT else "coverage,fuzzing,stateful"
SEED = os.environ.get("FUZZ_SEED", "1")
# Whether a body that fits the schema is accepted also depends on the models, sizes and budgets that
# the live fleet offers.
LEFT_OUT = "positive_data_acceptance"


@pytest.mark.timeout(900)
def test_every_answer_is_one_that_is_described(
    gateway: httpx.Client, worker: FakeWorker, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    command = (sys.executable, "-m", "schemathesis.cli", "run", f"{gateway.base_url}/openapi.json")
    options = ("--max-examples", EXAMPLES, "--seed", SEED, "--continue-on-failure", "--no-color")
    checks = ("--exclude-checks", LEFT_OUT, "--phases", PHASES)
    with caplog.at_level(logging.ERROR):
        done = subprocess.run(
            [*command, *options, *checks], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    assert not caplog.records
