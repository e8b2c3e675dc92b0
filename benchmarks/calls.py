"""Single calls with the bytes that the load generator sends: is the answer right, and how long is it?"""

import time
from collections.abc import Mapping, Sequence
from typing import cast

import grpc
import numpy as np
from numpy.typing import NDArray

from benchmarks.load import STREAM, UNARY
from benchmarks.processes import PinnedProcess
from benchmarks.samples import Sample, WrongAnswer, check_answer
from benchmarks.servers import Server
from ortolan.inference import inference_pb2

__all__ = ["Answers", "check_server", "wait_until_right"]

Answers = Mapping[str, NDArray[np.float32]]
"""The right answer to each sample, by the sample's name."""

_LIMIT_S = 120.0
_BETWEEN_TRIES_S = 0.005
_CHANNEL = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def check_server(
    server: Server, port: int, samples: Sequence[Sample], right: Answers, *, stream: bool
) -> dict[str, int]:
    """Asks each sample once. Returns the lengths of the answers on the wire.

    Raises WrongAnswer for other values, and for a call that fails.
    """
    lengths = {}
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=_CHANNEL) as channel:
        for sample in samples:
            try:
                answer = _stream(channel, sample.request()) if stream else _unary(channel, sample.request())
            except grpc.RpcError as error:
                call = cast("grpc.Call", error)
                raise WrongAnswer(f"{call.code().name}: {call.details()}") from error
            lengths[sample.name] = len(answer)
            if server.speaks:
                check_answer(_bare(server, answer) if stream else answer, right[sample.name])
            elif answer != sample.request():
                raise WrongAnswer("other bytes than were sent")
    return lengths


def wait_until_right(server: Server, process: PinnedProcess, port: int, sample: Sample, right: Answers) -> None:
    """Until the server listens and answers right. Raises Ended, and after two minutes what kept it from that."""
    until_s = time.monotonic() + _LIMIT_S
    while True:
        process.check()
        try:
            check_server(server, port, [sample], right, stream=False)
        except WrongAnswer:
            if time.monotonic() > until_s:
                raise
            time.sleep(_BETWEEN_TRIES_S)
        else:
            return


def _unary(channel: grpc.Channel, request: bytes) -> bytes:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(UNARY)
    return call(request, timeout=_LIMIT_S)


def _stream(channel: grpc.Channel, request: bytes) -> bytes:
    call: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(STREAM)
    answers = list(call(iter([request]), timeout=_LIMIT_S))
    if len(answers) != 1:
        raise WrongAnswer(f"{len(answers)} answers to one message of a stream")
    return answers[0]


def _bare(server: Server, answer: bytes) -> bytes:
    """The ModelInferResponse in the answer of a stream."""
    if server.streams == "bare":
        return answer
    message = inference_pb2.ModelStreamInferResponse.FromString(answer)
    if message.error_message:
        raise WrongAnswer(message.error_message)
    return message.infer_response.SerializeToString()
