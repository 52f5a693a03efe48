"""What a gateway says of itself when it starts."""

from __future__ import annotations

import pytest

from app.keys import ApiKey
from app.serve import warn_if_open
from app.settings import Settings


def settings(host: str, **who: object) -> Settings:
    return Settings(store_url="redis://store", host=host, **who)  # type: ignore[arg-type]


def test_a_gateway_that_lets_in_anybody_from_elsewhere_warns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    warn_if_open(settings("192.168.1.5", allow_anonymous=True))

    assert "whoever reaches 192.168.1.5" in caplog.text


@pytest.mark.parametrize(
    "quiet",
    [
        settings("127.0.0.1", allow_anonymous=True),
        settings("192.168.1.5", keys=(ApiKey("alice", "0" * 64),)),
    ],
    ids=["loopback", "keys"],
)
def test_a_gateway_that_is_closed_to_others_does_not(
    quiet: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    warn_if_open(quiet)

    assert caplog.text == ""
