"""Calls that grpcio serves and that end before anything of them is read."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc

__all__ = ["refusal"]


class _AtOnce(ThreadPoolExecutor):
    """No pool at all: a refusal is sent by the thread that took the call, so that a flood of them takes no other."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401 - as the base
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))  # grpcio's own function, which catches what the behaviour raises
        return done


_AT_ONCE = _AtOnce(1)


def refusal(code: grpc.StatusCode, details: str) -> "grpc.RpcMethodHandler[Any, Any]":
    """Ends a call without reading anything of it."""

    def refuse(_messages: object, context: grpc.ServicerContext) -> None:
        context.abort(code, details)

    refuse.experimental_thread_pool = _AT_ONCE  # type: ignore[attr-defined]
    # As a stream of requests: grpcio would read the message of a unary call first.
    return grpc.stream_unary_rpc_method_handler(refuse)
