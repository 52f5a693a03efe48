"""Write deploy/prometheus's rules as a PrometheusRule: `python deploy/k8s/build_rules.py`."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
RULES = HERE.parent / "prometheus"
HEAD = """\
# Written by deploy/k8s/build_rules.py from deploy/prometheus.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: blockcache
spec:
  groups:
"""


def groups_of(name: str) -> str:
    """Return the groups of a rule file, two steps further in."""
    _, groups = (RULES / name).read_text("utf-8").split("groups:\n")
    return "".join(f"  {line}" if line.strip() else line for line in groups.splitlines(True))


def main() -> None:
    """Write the file."""
    groups = "".join(map(groups_of, ("rules.yml", "alerts.yml")))
    (HERE / "base" / "rules.yaml").write_text(HEAD + groups, "utf-8")


if __name__ == "__main__":
    main()
