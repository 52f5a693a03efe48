"""The plan book: every plan worth running for one model and picture size, with measured quality."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from schedules.errors import InvalidBook, InvalidSchedule, ScheduleError
from schedules.schedule import Counts, Schedule
from schedules.units import UnitGraph

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from schedules.cost import CostModel

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Quality:
    """How close a plan's pictures come to the reference: 1 is identical; higher is better."""

    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to make a picture, fixed before the first step.

    `unit_runs[u]` and `counts` follow from the schedule and the model's unit graph; `measured`
    holds every quality figure taken, `quality` the one the planner ranks by.
    """

    solver: str
    rule: str
    schedule: Schedule
    quality: Quality
    unit_runs: tuple[int, ...]
    counts: Counts
    correction: str | None = None
    measured: Mapping[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Number of denoising steps."""
        return self.schedule.steps

    @property
    def name(self) -> str:
        """What the plan is called in answers, logs and metrics."""
        plain = f"{self.solver}-{self.steps}-{self.rule}"
        return plain if self.correction is None else f"{plain}-corrected"

    @classmethod
    def of(
        cls,
        solver: str,
        rule: str,
        schedule: Schedule,
        graph: UnitGraph,
        quality: Quality,
        measured: Mapping[str, float] | None = None,
    ) -> Self:
        """Build a plan; raises InvalidSchedule when the table is for another UNet."""
        if schedule.units != len(graph):
            raise InvalidSchedule(f"the table has {schedule.units} units, the UNet {len(graph)}")
        lean = schedule.normalised(graph)
        counts, figures = lean.counts(graph), dict(measured or {})
        return cls(solver, rule, lean, quality, lean.unit_runs, counts, measured=figures)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "solver": self.solver,
            "rule": self.rule,
            "table": self.schedule.encode(),
            "correction": self.correction,
            "quality": self.quality.value,
            "measured": dict(self.measured),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], graph: UnitGraph, metric: str) -> Self:
        """Read what `to_dict` wrote of a plan for that UNet."""
        schedule = Schedule.decode(data["table"], len(graph))
        quality = Quality(metric, data["quality"])
        plan = cls.of(data["solver"], data["rule"], schedule, graph, quality, data["measured"])
        return replace(plan, correction=data["correction"])


@dataclass(frozen=True, slots=True)
class PlanBook:
    """Plans for one (model, revision, size); device-independent. Raises InvalidBook when empty."""

    model: str
    revision: str
    width: int
    height: int
    metric: str
    graph: UnitGraph
    plans: tuple[Plan, ...]
    made: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.plans:
            raise InvalidBook("a plan book needs at least one plan")

    @property
    def digest(self) -> str:
        """A short name of exactly this book."""
        text = json.dumps(self.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def frontier(self, costs: CostModel, batch: int = 1) -> tuple[Plan, ...]:
        """Return the plans that no cheaper plan matches in quality, cheapest first."""
        timed = [(costs.total_ms(p.steps, p.unit_runs, batch), p) for p in self.plans]
        best: list[Plan] = []
        for _, plan in sorted(timed, key=lambda pair: (pair[0], -pair[1].quality.value)):
            if not best or plan.quality.value > best[-1].quality.value:
                best.append(plan)
        return tuple(best)

    def with_plans(self, plans: Sequence[Plan]) -> Self:
        """Return this book with other plans in it."""
        return replace(self, plans=tuple(plans))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "format": FORMAT,
            "model": self.model,
            "revision": self.revision,
            "width": self.width,
            "height": self.height,
            "metric": self.metric,
            "graph": self.graph.to_dict(),
            "plans": [plan.to_dict() for plan in self.plans],
            "made": dict(self.made),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; raises InvalidBook saying what is wrong."""
        version = data.get("format") if isinstance(data, dict) else None
        if version != FORMAT:
            raise InvalidBook(f"plan book format {version!r}; this version reads {FORMAT}")
        try:
            graph = UnitGraph.from_dict(data["graph"])
            metric = data["metric"]
            plans = tuple(Plan.from_dict(plan, graph, metric) for plan in data["plans"])
            named = {key: data[key] for key in ("model", "revision", "width", "height", "metric")}
            return cls(**named, graph=graph, plans=plans, made=data.get("made", {}))
        except (KeyError, TypeError, AttributeError, ScheduleError) as error:
            raise InvalidBook(f"the plan book cannot be read: {error}") from error
