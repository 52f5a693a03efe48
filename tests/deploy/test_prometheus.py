"""Scraping, recording rules and alerts: well formed, about metrics that exist, and right."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.queries import PROMETHEUS, ROOT, rules, unknown_names

ALERTS = rules("alerts.yml")
RUNBOOK = re.compile(r"(docs/\w+\.md)#(\w+)")


def name_of(rule: dict[str, Any]) -> str:
    return str(rule.get("alert") or rule["record"])


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed")
    command = [program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["prometheus.yml", "local.yml"])
def test_prometheus_accepts_its_configuration(name: str) -> None:
    done = promtool("check", "config", PROMETHEUS / name)

    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_alerts_say_what_they_should_of_given_series() -> None:
    done = promtool("test", "rules", ROOT / "tests" / "deploy" / "rules_test.yml")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", rules("rules.yml") + ALERTS, ids=name_of)
def test_a_rule_asks_for_series_that_exist(rule: dict[str, Any]) -> None:
    assert not unknown_names(rule["expr"])


@pytest.mark.parametrize("rule", ALERTS, ids=name_of)
def test_an_alert_is_graded_and_has_a_page_that_says_what_to_do(rule: dict[str, Any]) -> None:
    found = RUNBOOK.fullmatch(rule["annotations"]["runbook"])
    assert found
    headings = re.findall(r"^### (\w+)$", (ROOT / found[1]).read_text(), re.MULTILINE)

    assert found[2] in {heading.lower() for heading in headings}
    assert rule["labels"]["severity"] in {"page", "ticket"}


def test_every_alert_is_tried_by_the_rule_tests() -> None:
    tried = (ROOT / "tests" / "deploy" / "rules_test.yml").read_text()

    assert [rule["alert"] for rule in ALERTS if f"alertname: {rule['alert']}" not in tried] == []
