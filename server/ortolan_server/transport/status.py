"""The one table from domain errors to gRPC status codes."""

from typing import NoReturn

import grpc
import structlog

from ortolan_server import errors

__all__ = ["STATUS", "abort", "code_name", "domain_error", "status_of"]

log = structlog.get_logger()

STATUS: dict[type[errors.OrtolanError], grpc.StatusCode] = {
    errors.CallCancelled: grpc.StatusCode.CANCELLED,
    errors.CannotListen: grpc.StatusCode.FAILED_PRECONDITION,
    errors.DeadlineExpired: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.InferenceFailed: grpc.StatusCode.INTERNAL,
    errors.InternalError: grpc.StatusCode.INTERNAL,
    errors.InvalidConfig: grpc.StatusCode.FAILED_PRECONDITION,
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.LoadFailed: grpc.StatusCode.FAILED_PRECONDITION,
    errors.ModelNotFound: grpc.StatusCode.NOT_FOUND,
    errors.ModelNotReady: grpc.StatusCode.UNAVAILABLE,
    errors.NotAllowed: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotSupported: grpc.StatusCode.UNIMPLEMENTED,
    # Not UNAVAILABLE: KServe's client retries that at once, which adds to the load.
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.RegionExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.RegionNotFound: grpc.StatusCode.NOT_FOUND,
    errors.ServerStopping: grpc.StatusCode.UNAVAILABLE,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
}

# Details travel in a header, percent-encoded; peers refuse more than 8 KiB of headers.
_DETAILS_BYTES = 2000
_ESCAPED_BYTES = 3


def domain_error(error: Exception) -> errors.OrtolanError:
    """The error itself if it is of the domain; any other is a fault of ours, whose details go to the log only."""
    if isinstance(error, errors.OrtolanError):
        return error
    log.error("call_crashed", exc_info=error)
    return errors.InternalError()


def status_of(error: errors.OrtolanError) -> tuple[grpc.StatusCode, str]:
    """Code and details for the caller."""
    return STATUS[type(error)], _details(str(error))


def code_name(error: type[errors.OrtolanError]) -> str:
    """The code as gRPC's documentation writes it."""
    return STATUS[error].name


def _details(text: str) -> str:
    """As much of the text as a header takes. What is no Unicode (a path can be so) is escaped."""
    text = text.encode(errors="backslashreplace").decode()
    size = 0
    for position, letter in enumerate(text):
        size += 1 if " " <= letter <= "~" and letter != "%" else _ESCAPED_BYTES * len(letter.encode())
        if size > _DETAILS_BYTES:
            return text[:position] + "…"
    return text


def abort(context: grpc.ServicerContext, error: Exception) -> NoReturn:
    """Ends the call with the error's status."""
    code, details = status_of(domain_error(error))
    context.abort(code, details)
