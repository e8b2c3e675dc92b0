"""Which failures end a stream, and which are told in it."""

import pytest

from ortolan_server.errors import DeadlineExpired, InvalidRequest, OrtolanError
from ortolan_server.transport.slots import ends_stream

LATE = DeadlineExpired("the deadline passed while the inference ran")
WRONG = InvalidRequest("no such input")


@pytest.mark.parametrize(
    ("failure", "overdue", "real_status", "ends"),
    [
        (LATE, True, False, True),
        # A request's own time, its parameter `timeout`, was over; that of the stream is not.
        (LATE, False, False, False),
        (WRONG, True, False, False),
        (WRONG, False, True, True),
    ],
)
def test_ends_stream(failure: OrtolanError, overdue: bool, real_status: bool, ends: bool) -> None:  # noqa: FBT001 - a table
    assert ends_stream(failure, overdue=overdue, real_status=real_status) is ends
