"""The table of bad requests: what is sent, and the code and text that must come back."""

from tests.conformance import bad_bytes, bad_control, bad_parameters, bad_tensors, bad_values
from tests.conformance.bad_bytes import MAX_MESSAGE_BYTES
from tests.conformance.sending import BadRequest

__all__ = ["SERVER_FLAGS", "TABLE"]

SERVER_FLAGS = (
    *("--max-message-size", str(MAX_MESSAGE_BYTES)),
    *("--model-control", "explicit", "--load-model", "*", "--max-load-size", str(bad_control.MAX_LOAD_BYTES)),
)
"""What the table counts on."""

TABLE: tuple[BadRequest, ...] = (
    *bad_tensors.TABLE,
    *bad_parameters.TABLE,
    *bad_values.TABLE,
    *bad_control.TABLE,
    *bad_bytes.TABLE,
)
