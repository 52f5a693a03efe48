"""What `deploy/check policy` makes of checkov's findings."""

from __future__ import annotations

from typing import Any

from deploy.checks.policy import explained, trouble


def report(kind: str, *failed: str, passed: int = 9) -> dict[str, Any]:
    found = [
        {"check_id": check, "check_name": "name", "file_path": "/f", "resource": "r"}
        for check in failed
    ]
    return {
        "check_type": kind,
        "summary": {"passed": passed, "failed": len(failed)},
        "results": {"failed_checks": found},
    }


def test_an_explained_finding_is_no_trouble() -> None:
    told = [report("kubernetes", "CKV_K8S_1"), report("dockerfile")]

    assert list(trouble(told, {"CKV_K8S_1"})) == []


def test_a_finding_without_a_reason_is_told_with_its_place() -> None:
    told = [report("kubernetes", "CKV_K8S_1"), report("dockerfile")]

    assert list(trouble(told, set())) == ["kubernetes /f: r: CKV_K8S_1 name"]


def test_a_reason_for_what_is_not_found_is_told() -> None:
    told = [report("kubernetes"), report("dockerfile")]

    assert list(trouble(told, {"CKV_K8S_1"})) == ["explained, but not found: CKV_K8S_1"]


def test_files_that_were_not_looked_at_are_told() -> None:
    told = [report("kubernetes"), report("dockerfile", passed=0)]

    assert list(trouble(told, set())) == ["checkov has not looked at everything"]


def test_the_reasons_are_read_from_the_document() -> None:
    assert {"CKV_K8S_11", "CKV_DOCKER_7"} <= explained()
