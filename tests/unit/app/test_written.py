"""What messages look like on their way, and which are refused."""

from __future__ import annotations

import json

import pytest

from app.contract.errors import DecodeError
from app.contract.jobs import Failure, Job, Reason, Result
from tests.builders import a_job, a_result

WHY = Failure("1", Reason.DEAD, "süß \U0001f353")


@pytest.mark.parametrize("message", [a_job(), a_result(a_job()), WHY])
def test_a_message_is_read_as_it_was_written(message: Job | Result | Failure) -> None:
    assert type(message).decode(message.encode()) == message


def test_what_has_a_default_may_be_left_out() -> None:
    told = json.loads(a_job("1").encode())
    del told["encoding"], told["previews"]

    assert Job.decode(json.dumps(told)) == a_job("1")


@pytest.mark.parametrize("part", ["", "plan", "encoding"])
def test_a_job_that_asks_for_more_than_is_known_is_refused(part: str) -> None:
    told = json.loads(a_job().encode())
    (told[part] if part else told)["brand_new"] = 1

    with pytest.raises(DecodeError, match="brand_new"):
        Job.decode(json.dumps(told))


@pytest.mark.parametrize("payload", ["", "[]", "{", '{"version":2}', '{"version":1,"job_id":1}'])
def test_what_is_no_message_is_refused_with_what_came(payload: str) -> None:
    with pytest.raises(DecodeError) as refused:
        Failure.decode(payload)
    assert refused.value.payload == payload
