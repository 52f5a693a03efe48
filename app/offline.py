"""Planning without a service: from a plan book and a cost model in files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from app import admission, answers
from app.contract.cards import WorkerCard
from app.contract.ports import Backlog
from app.fleet import Offer
from app.refusals import refusal
from app.stages import Decision
from schedules.book import PlanBook
from schedules.cost import CostModel
from schedules.errors import ScheduleError

if TYPE_CHECKING:
    from pathlib import Path


def plan_from_files(
    book_path: Path,
    costs_path: Path,
    *,
    budget_ms: float,
    num_images: int = 1,
    min_quality: float = 0.0,
    model: str | None = None,
) -> dict[str, Any]:
    """Return what `POST /plan` would answer on an idle worker with these costs.

    Raises ScheduleError for files that are none, Refused when the budget buys nothing.
    """
    book = PlanBook.from_dict(_read(book_path))
    if model not in {None, book.model}:
        raise ScheduleError(f"{book_path} is the book of {book.model}, not of {model}")
    card = _idle_card(book, CostModel.from_dict(_read(costs_path)))
    load = admission.Load((card,), Backlog(0, 0.0), 0.0, 0.0)
    verdict = admission.admit(admission.Ask(budget_ms, num_images, min_quality), book, load)
    if not isinstance(verdict, admission.Admit):
        raise refusal(verdict)
    decision = Decision(Offer(book, (card,)), verdict, 0.0)
    return answers.plan(decision, budget_ms, num_images).model_dump(mode="json")


def _idle_card(book: PlanBook, costs: CostModel) -> WorkerCard:
    return WorkerCard(
        worker="offline",
        model=book.model,
        revision=book.revision,
        width=book.width,
        height=book.height,
        device="",
        dtype="",
        book=book.digest,
        costs=costs,
        max_batch=1,
        ready=True,
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ScheduleError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ScheduleError(f"{path} holds no JSON object")
    return data
