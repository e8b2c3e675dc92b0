"""Many inferences over one stream."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import grpc
from numpy.typing import ArrayLike, NDArray

from ortolan.inference import inference_pb2
from ortolan_client._errors import InferError, from_rpc_error
from ortolan_client._messages import output_arrays
from ortolan_client._tls import Tls

__all__ = ["InferStream"]

_StreamCall = Callable[[Iterator[inference_pb2.ModelInferRequest]], Any]


class InferStream(Iterator[dict[str, NDArray[Any]]]):
    """The answers of one stream, in the order of the inputs. Made by `Client.stream`.

    An item that fails raises InferError from `next()`, and the item after it is still to come: a plain `for` stops
    at the first failure, and who wants to go on asks `next()` again. Every other error ends the stream. What the
    iterable of inputs itself raises comes after the answers to what it gave before.

    The inputs are drawn by a thread of gRPC as fast as the connection takes them. Leaving the stream early cancels
    what is under way: use it as a context manager, or `close()`.
    """

    def __init__(
        self,
        start: _StreamCall,
        inputs: Iterable[Mapping[str, ArrayLike]],
        encode: Callable[[int, Mapping[str, ArrayLike]], inference_pb2.ModelInferRequest],
        model: str,
        tls: Tls | None = None,
    ) -> None:
        self._inputs = inputs
        self._encode = encode
        self._model = model
        self._tls = tls
        self._answered = 0
        self._inputs_error: Exception | None = None
        self._call = start(self._requests())

    def _requests(self) -> Iterator[inference_pb2.ModelInferRequest]:
        try:
            for index, item in enumerate(self._inputs):
                yield self._encode(index, item)
        except Exception as error:  # noqa: BLE001 (of the caller's iterable: it comes out of `__next__`)
            self._inputs_error = error

    def __next__(self) -> dict[str, NDArray[Any]]:
        try:
            message = next(self._call)
        except StopIteration:
            self._raise_inputs_error()
            raise
        except grpc.RpcError as error:
            raise from_rpc_error(error, self._model, self._tls) from error
        index = self._answered
        self._answered += 1
        if message.error_message:
            raise InferError(message.error_message, index=index, model=self._model)
        return output_arrays(message.infer_response, self._model)

    def _raise_inputs_error(self) -> None:
        if self._inputs_error is not None:
            error, self._inputs_error = self._inputs_error, None
            raise error

    def close(self) -> None:
        """Cancels what is under way. Does nothing to a stream that has ended."""
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
