"""Bad requests: bytes that are no message, calls that are no call, connections that are no HTTP/2."""

from collections.abc import Sequence

from ortolan.inference import inference_pb2 as pb
from tests.conformance.http2 import GRPC_HEADERS, exchange, frame, headers_frame, message_frame, raw_call
from tests.conformance.sending import BadRequest, Send, altered, call, in_stream, infer, request
from tests.conformance.wire import CLOSED, IN_BAND, INFERENCE, REFLECTION, Answer, Wire, body, simple_request

__all__ = ["MAX_MESSAGE_BYTES", "TABLE"]

INVALID, UNIMPLEMENTED, INTERNAL = "INVALID_ARGUMENT", "UNIMPLEMENTED", "INTERNAL"
NO_MESSAGE = "is not a inference.ModelInferRequest message"
GOOD = body(simple_request())
MAX_MESSAGE_BYTES = 5 * 2**20
"""What the server is told to take."""
DOOMED = request("gather", [("x", "FP32", [1]), ("indices", "INT64", [1])], [bytes(4), b"\xff" * 7 + b"\x7f"])


def _raw(*frames: bytes) -> Send:
    return lambda wire: raw_call(wire.address, *frames)


def _headers(*more: tuple[str, str], **instead: str) -> bytes:
    """Of a call of ModelInfer, those in `instead` replaced."""
    changed = [(name, instead.get(name.strip(":").replace("-", "_"), value)) for name, value in GRPC_HEADERS]
    return headers_frame([*changed, *more])


def _no_http2(data: bytes) -> Send:
    def send(wire: Wire) -> Answer:
        exchange(wire.address, data)
        return Answer(CLOSED, "")

    return send


def _messages(count: int) -> Send:
    def send(wire: Wire) -> Answer:
        return wire.stream(f"{INFERENCE}/ModelInfer", [GOOD] * count)[1]

    return send


def _real_status(bad: pb.ModelInferRequest | bytes) -> Send:
    def send(wire: Wire) -> Answer:
        came, end = wire.infer_stream(
            [simple_request("first"), bad, simple_request()], (("triton_grpc_error", "true"),)
        )
        assert len(came) == 1, f"{len(came)} answers came; wanted the one before the bad message"
        return end

    return send


def _metadata(*pairs: tuple[str, str]) -> Send:
    return lambda wire: wire.unary(f"{INFERENCE}/ModelInfer", GOOD, metadata=pairs)


def _field(number: int, wire_type: int, payload: bytes) -> bytes:
    return bytes([number << 3 | wire_type]) + payload


MESSAGES: Sequence[BadRequest] = (
    BadRequest("garbage", infer(b"\xff" * 5), INVALID, NO_MESSAGE),
    BadRequest("a message cut short", infer(GOOD[:-10]), INVALID, NO_MESSAGE),
    BadRequest("a message that nests without an end", infer(b"\x0b" * 10_000), INVALID, NO_MESSAGE),
    BadRequest("a name that is no UTF-8", infer(_field(1, 2, b"\x02\xff\xfe")), INVALID, NO_MESSAGE),
    BadRequest("a field that says it has 4 GiB", infer(_field(7, 2, b"\xff\xff\xff\xff\x0f")), INVALID, NO_MESSAGE),
    BadRequest(
        "a number where inputs belong", infer(GOOD + _field(5, 0, b"\x01") + _field(1, 0, b"\x01")), "OK", "bytes"
    ),
    BadRequest(
        "another message", infer(body(pb.ModelInferResponse(model_name="simple", id="x"))), INVALID, "missing input"
    ),
    BadRequest("nothing at all", infer(b""), "NOT_FOUND", "no model ''"),
    BadRequest(
        "garbage for metadata", call("ModelMetadata", b"\xff\xff"), INVALID, "is not a inference.ModelMetadataRequest"
    ),
    BadRequest("garbage for a plan", call(f"{REFLECTION}/PlanAssignment", b"\xff\xff"), INVALID, "is not a ortolan.v1"),
    BadRequest(
        "over our limit",
        infer(bytes(MAX_MESSAGE_BYTES + 1)),
        "RESOURCE_EXHAUSTED",
        f"{MAX_MESSAGE_BYTES + 1} vs. {MAX_MESSAGE_BYTES}.*--max-message-size",
    ),
    BadRequest("far over our limit", infer(bytes(4 * MAX_MESSAGE_BYTES)), "RESOURCE_EXHAUSTED", "larger than max"),
)

CALLS: Sequence[BadRequest] = (
    BadRequest("an unknown method", call("ModelExplain", b""), UNIMPLEMENTED, "Method not found"),
    BadRequest("an unknown service", call("/inference.Nothing/ModelInfer", GOOD), UNIMPLEMENTED, "Method not found"),
    BadRequest("no message", _messages(0), UNIMPLEMENTED, "exactly one request message"),
    BadRequest("60 KiB of metadata", _metadata(("x-noise", "n" * 60_000)), "RESOURCE_EXHAUSTED", "metadata size"),
)

STREAMS: Sequence[BadRequest] = (
    BadRequest("stream: garbage", in_stream(b"\xff" * 9), IN_BAND, NO_MESSAGE),
    BadRequest("stream: an unknown model", in_stream(request("nobody", [])), IN_BAND, "no model 'nobody'"),
    BadRequest("stream: a model that did not load", in_stream(request("broken", [])), IN_BAND, "FAILED"),
    BadRequest("stream: a kernel that fails", in_stream(DOOMED), IN_BAND, "out of data bounds"),
    BadRequest(
        "stream: a missing input", in_stream(altered(lambda message: message.inputs.pop())), IN_BAND, "missing input"
    ),
    BadRequest("stream: two hundred bad ones", in_stream(*[request("simple", [])] * 200), IN_BAND, "missing input"),
    BadRequest("stream: over our limit", in_stream(bytes(MAX_MESSAGE_BYTES + 1)), IN_BAND, "--max-message-size"),
    BadRequest(
        "stream: far over our limit", in_stream(bytes(4 * MAX_MESSAGE_BYTES)), "RESOURCE_EXHAUSTED", "larger than max"
    ),
    BadRequest(
        "stream with real status: an unknown model",
        _real_status(request("nobody", [])),
        "NOT_FOUND",
        "no model 'nobody'",
    ),
    BadRequest("stream with real status: garbage", _real_status(b"\xff"), INVALID, NO_MESSAGE),
    BadRequest("stream with real status: a kernel that fails", _real_status(DOOMED), INVALID, "out of data bounds"),
)

FRAMES: Sequence[BadRequest] = (
    BadRequest(
        "compressed without an encoding", _raw(_headers(), message_frame(GOOD, compressed=1)), INTERNAL, "no encoding"
    ),
    BadRequest(
        "no gzip",
        _raw(_headers(("grpc-encoding", "gzip")), message_frame(GOOD, compressed=1)),
        INTERNAL,
        "Decompression failed",
    ),
    BadRequest(
        "an unknown encoding",
        _raw(_headers(("grpc-encoding", "snappy")), message_frame(GOOD, compressed=1)),
        INTERNAL,
        "grpc-encoding",
    ),
    BadRequest(
        "a frame shorter than its message",
        _raw(_headers(), message_frame(GOOD, length=len(GOOD) + 99)),
        UNIMPLEMENTED,
        "exactly one",
    ),
    BadRequest(
        "a message of 4 GiB, as it says",
        _raw(_headers(), message_frame(GOOD, length=2**32 - 1)),
        "RESOURCE_EXHAUSTED",
        "larger than max",
    ),
    BadRequest(
        "a message shorter than its frame", _raw(_headers(), message_frame(GOOD, length=3)), INVALID, NO_MESSAGE
    ),
    BadRequest(
        "a deadline that is no number",
        _raw(_headers(("grpc-timeout", "soon")), message_frame(GOOD)),
        INTERNAL,
        "grpc-timeout",
    ),
    BadRequest("GET", _raw(_headers(method="GET"), message_frame(GOOD)), CLOSED, ""),
    BadRequest("no path", _raw(headers_frame(GRPC_HEADERS[:2]), message_frame(GOOD)), CLOSED, ""),
    BadRequest("headers that are none", _raw(frame(1, 4, 1, b"\xff" * 99)), INTERNAL, "HTTP/2"),
    BadRequest("frames that are none", _raw(b"\xff" * 999), CLOSED, ""),
    BadRequest("HTTP/1.1", _no_http2(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), CLOSED, ""),
    BadRequest("a TLS handshake", _no_http2(b"\x16\x03\x01\x02\x00\x01\x00" + bytes(500)), CLOSED, ""),
)

TABLE = (*MESSAGES, *CALLS, *STREAMS, *FRAMES)
