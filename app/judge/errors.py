"""What can go wrong while pictures are judged.

GatewayError
└── JudgeError         a set, a votes file or a command cannot be used
    ├── UnknownLink    no annotator has this link
    ├── NoSuchPair     the picture is of a pair that is not shown yet, or of none
    └── OutOfTurn      the vote is for another pair than the one that is shown
"""

from app.errors import GatewayError


class JudgeError(GatewayError):
    """A set, a votes file or a command of the judge cannot be used; the message says why."""


class UnknownLink(JudgeError):
    """No annotator has this link."""


class NoSuchPair(JudgeError):
    """The picture is of a pair that is not shown yet, or of none."""


class OutOfTurn(JudgeError):
    """The vote is for another pair than the one that is shown, or there is none to take back."""
