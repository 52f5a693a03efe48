"""Hold the rendered manifests and the Dockerfile to checkov's rules.

    python -m deploy.checks.policy

A finding fails unless docs/deploy.md explains it; so does an explanation of what is not found.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
EXPLAINED = re.compile(r"^\| `(CKV\w+)` ", re.MULTILINE)
FRAMEWORKS = {"kubernetes", "dockerfile"}
OPTIONS = ("--framework", *sorted(FRAMEWORKS), "--output", "json", "--skip-download")


def explained() -> set[str]:
    """Return the rules that docs/deploy.md says are broken for a reason."""
    return set(EXPLAINED.findall((ROOT / "docs" / "deploy.md").read_text("utf-8")))


def gather(folder: Path) -> None:
    """Put the Dockerfile and every rendered overlay into a folder."""
    shutil.copy(ROOT / "Dockerfile", folder)
    for overlay in (ROOT / "deploy" / "k8s" / "overlays").iterdir():
        with (folder / f"{overlay.name}.yaml").open("wb") as file:
            subprocess.run(["kubectl", "kustomize", str(overlay)], check=True, stdout=file)


def reports(folder: Path) -> list[dict[str, Any]]:
    """Return what checkov says of a folder, a report for each kind of file."""
    command = [sys.executable, "-m", "checkov.main", "--directory", str(folder), *OPTIONS]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def trouble(told: list[dict[str, Any]], known: set[str]) -> Iterator[str]:
    """Yield what is wrong in reports: findings nobody explained, and explanations of none."""
    if {report["check_type"] for report in told if report["summary"]["passed"]} != FRAMEWORKS:
        yield "checkov has not looked at everything"
    found = [(r, each) for r in told for each in r["results"]["failed_checks"]]
    for report, each in found:
        if each["check_id"] not in known:
            where = f"{each['file_path']}: {each['resource']}"
            yield f"{report['check_type']} {where}: {each['check_id']} {each['check_name']}"
    for check in sorted(known - {each["check_id"] for _, each in found}):
        yield f"explained, but not found: {check}"


def main() -> None:
    """Print what is wrong, a line a finding; exit with 1 if anything is."""
    with tempfile.TemporaryDirectory() as folder:
        gather(Path(folder))
        told = reports(Path(folder))
    wrong = list(trouble(told, explained()))
    sys.stdout.write("".join(f"{line}\n" for line in wrong))
    passed, failed = (sum(r["summary"][name] for r in told) for name in ("passed", "failed"))
    sys.stdout.write(f"   {passed} rules kept, {failed} not, {len(wrong)} times without a reason\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
