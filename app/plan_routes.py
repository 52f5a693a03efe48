"""The table of one plan: what every unit does at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from app.errors import UnknownPlan
from app.fleet import choose
from app.routes import PROBLEM, Serving, body
from app.schemas import MAX_SIDE_PX, Message
from schedules.schedule import Work

if TYPE_CHECKING:
    from schedules.book import Plan, PlanBook

LETTERS = {Work.COMPUTED: "C", Work.REUSED: "R", Work.SKIPPED: "S"}

router = APIRouter()


class UnitBody(Message):
    """A part of the UNet whose work can be reused."""

    name: str
    role: str


class PlanTableBody(Message):
    """A plan as a table: a text a step, in it a letter a unit.

    C is computed, R reused from an earlier step, S skipped because nothing needs it.
    """

    model: str
    width: int
    height: int
    name: str
    solver: str
    steps: int
    schedule: str
    correction: str | None
    units: list[UnitBody]
    work: list[str]


Side = Annotated[int | None, Query(ge=8, le=MAX_SIDE_PX)]


@router.get("/plans/{name}", response_model=PlanTableBody, responses={404: PROBLEM, 422: PROBLEM})
async def plantable_of(
    name: str,
    service: Serving,
    model: Annotated[str | None, Query(max_length=200)] = None,
    width: Side = None,
    height: Side = None,
) -> Response:
    """Tell which units a plan computes, reuses and skips at each of its steps."""
    book = choose(await service.live(), model, width, height).book
    return body(table_of(_named(name, book), book))


def _named(name: str, book: PlanBook) -> Plan:
    """Return a plan by its name, with or without the word that says it is corrected."""
    for plan in book.plans:
        if name in {plan.name, plan.name.removesuffix("-corrected")}:
            return plan
    raise UnknownPlan("The live plan book has no such plan; GET /plans names those worth running.")


def table_of(plan: Plan, book: PlanBook) -> PlanTableBody:
    """Describe a plan of that book unit by unit and step by step."""
    return PlanTableBody(
        model=book.model,
        width=book.width,
        height=book.height,
        name=plan.name,
        solver=plan.solver,
        steps=plan.steps,
        schedule=plan.rule,
        correction=plan.correction,
        units=[UnitBody(name=unit.name, role=unit.role.value) for unit in book.graph.units],
        work=["".join(LETTERS[w] for w in row) for row in plan.schedule.work(book.graph)],
    )
