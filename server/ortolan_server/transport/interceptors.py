"""The hook and the access log for calls that grpcio serves: all of them in the public lane, else those beside the fast
one. In grpcio's own serving loop, before a call takes a thread.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import grpc

from ortolan_server.codec import read_names
from ortolan_server.services.rejections import Rejections
from ortolan_server.telemetry.access import AccessLog, CallRecord
from ortolan_server.transport.admission import CallInfo, Guard
from ortolan_server.transport.refusals import refusal
from ortolan_server.transport.routes import HOT, MODEL_INFER
from ortolan_server.transport.status import domain_error, status_of

__all__ = ["AccessInterceptor", "GuardInterceptor"]

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
_Find = Callable[[grpc.HandlerCallDetails], "_Handler | None"]
_Behaviour = Callable[..., Any]


class GuardInterceptor(grpc.ServerInterceptor):
    """Asks a guard about every call."""

    def __init__(self, guard: Guard, rejections: Rejections) -> None:
        """`rejections` are of inferences."""
        self._guard = guard
        self._rejections = rejections

    def intercept_service(
        self, continuation: _Find, handler_call_details: grpc.HandlerCallDetails
    ) -> "_Handler | None":
        details = handler_call_details
        try:
            self._guard.admit(CallInfo(details.method, details.invocation_metadata))
        except Exception as error:  # noqa: BLE001 - the table knows them all
            failure = domain_error(error)
            if details.method in HOT:
                self._rejections.add(failure)
            return refusal(*status_of(failure))
        return continuation(details)


class AccessInterceptor(grpc.ServerInterceptor):
    """Notes every call, refused ones and those to unknown methods included. The first of the interceptors."""

    def __init__(self, access: AccessLog) -> None:
        self._access = access

    def intercept_service(self, continuation: _Find, handler_call_details: grpc.HandlerCallDetails) -> _Handler:
        method = handler_call_details.method
        handler = continuation(handler_call_details)
        if handler is None:
            handler = refusal(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")  # as grpcio says it
        return _noted(handler, CallRecord(method), self._access)


def _noted(handler: _Handler, record: CallRecord, access: AccessLog) -> _Handler:
    """The handler for one call, which leaves its traces in the record."""

    def behaviour(request: Any, context: grpc.ServicerContext, *send: Callable[[Any], None]) -> Any:  # noqa: ANN401
        requests = request if handler.request_streaming else None
        _follow(record, context, access, requests)
        if send:
            return inner(request, context, _noted_send(send[0], record))
        try:
            answer = inner(request, context)
        except Exception:
            record.answered(grpc.StatusCode.UNKNOWN.name)  # unless the context has another
            raise
        if handler.response_streaming:
            return _noted_end(answer, record, context)
        record.answered()
        return answer

    inner, make = _KINDS[handler.request_streaming, handler.response_streaming](handler)
    for name in ("experimental_thread_pool", "experimental_non_blocking"):
        if hasattr(inner, name):
            setattr(behaviour, name, getattr(inner, name))
    return make(behaviour, _noted_reading(handler, record), _noted_writing(handler, record))


_KINDS: dict[tuple[bool, bool], Callable[[Any], tuple[_Behaviour, Callable[..., _Handler]]]] = {
    (False, False): lambda handler: (handler.unary_unary, grpc.unary_unary_rpc_method_handler),
    (False, True): lambda handler: (handler.unary_stream, grpc.unary_stream_rpc_method_handler),
    (True, False): lambda handler: (handler.stream_unary, grpc.stream_unary_rpc_method_handler),
    (True, True): lambda handler: (handler.stream_stream, grpc.stream_stream_rpc_method_handler),
}


def _follow(
    record: CallRecord, context: grpc.ServicerContext, access: AccessLog, requests: Iterator[Any] | None
) -> None:
    def over() -> None:
        code = context.code()  # type: ignore[attr-defined] # its stubs lack it
        if code is not None:
            # What was set beside an answer goes before it.
            record.code = code.name if isinstance(code, grpc.StatusCode) else str(code)
        if requests is not None and _client_left(requests):
            record.left()
        record.end(left_s=context.time_remaining())
        access.put(record)

    record.peer = context.peer()
    if not context.add_callback(over):
        over()


def _client_left(requests: Iterator[Any]) -> bool:
    """Of a call that is over. Before, requests end in the same way when the client leaves as when it has no more."""
    try:
        next(requests, None)
    except Exception:  # noqa: BLE001 - gRPC's way to say so
        return True
    return False


def _noted_send(send: Callable[[Any], None], record: CallRecord) -> Callable[[Any], None]:
    def noted(message: Any) -> None:  # noqa: ANN401
        if message is None:
            record.answered()
        send(message)

    return noted


def _noted_end(answers: Iterator[Any], record: CallRecord, context: grpc.ServicerContext) -> Iterator[Any]:
    try:
        yield from answers
    except Exception:
        record.answered(grpc.StatusCode.UNKNOWN.name)  # unless the context has another
        raise
    if context.is_active():  # else the answers ended because the client left
        record.answered()


def _noted_reading(handler: _Handler, record: CallRecord) -> Callable[[bytes], Any]:
    inner = handler.request_deserializer

    def read(data: bytes) -> Any:  # noqa: ANN401
        record.received(len(data))
        if record.method == MODEL_INFER:
            record.model, record.request_id = read_names(data)
        return inner(data) if inner else data

    return read


def _noted_writing(handler: _Handler, record: CallRecord) -> Callable[[Any], bytes]:
    inner = handler.response_serializer

    def write(message: Any) -> bytes:  # noqa: ANN401
        data: bytes = inner(message) if inner else message
        record.sent(len(data))
        return data

    return write
