"""What the caller is told when a run ends without a result."""

from ortolan_backends.errors import DeviceFailure, InvalidInput, OutOfMemory, RunCancelled, RunFailed
from ortolan_server.errors import (
    InferenceFailed,
    InternalError,
    InvalidRequest,
    ModelNotReady,
    OrtolanError,
    Overloaded,
)

__all__ = ["answer_to"]


def answer_to(error: Exception, cause: OrtolanError | None) -> OrtolanError:
    """The answer to a run's exception; `cause` is why the run was stopped, if it was."""
    match error:
        case RunCancelled() if cause is not None:
            return cause
        case InvalidInput():
            return InvalidRequest(str(error))
        case OutOfMemory():
            return Overloaded(f"not enough memory for this inference: {error}")
        case DeviceFailure():
            return ModelNotReady(f"the device failed during this inference: {error}")
        case RunFailed():
            return InferenceFailed(str(error))
        case _:
            return InternalError()
