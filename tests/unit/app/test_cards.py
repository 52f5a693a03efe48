from __future__ import annotations

import json

import pytest

from app.contract.cards import WorkerCard
from app.contract.errors import DecodeError
from tests.builders import a_card


def test_a_card_of_a_newer_worker_is_read_without_what_is_new() -> None:
    card = a_card()
    newer = json.dumps({**json.loads(card.encode()), "of_tomorrow": 1})

    assert WorkerCard.decode(newer) == card


def test_a_card_that_lacks_something_is_refused() -> None:
    lacking = json.loads(a_card().encode())
    del lacking["worker"]

    with pytest.raises(DecodeError, match="not a worker card"):
        WorkerCard.decode(json.dumps(lacking))
