"""Bad requests: right in form, refused by a kernel when the model runs, or without an end."""

from ortolan.inference import inference_pb2 as pb
from tests.conformance.models import ENDLESS
from tests.conformance.sending import BadRequest, Send, infer, raw, request, strings

__all__ = ["TABLE"]

INVALID = "INVALID_ARGUMENT"


def _indexed(model: str, indices: list[int], x: list[float]) -> Send:
    """One of the models with inputs x FP32[N] and indices INT64[M]."""
    inputs = [("x", "FP32", [len(x)]), ("indices", "INT64", [len(indices)])]
    return infer(request(model, inputs, raw(x) + raw(indices, dtype="int64")))


def _divide(a: int, b: int) -> Send:
    return infer(request("divide", [("a", "INT32", [1]), ("b", "INT32", [1])], raw([a], [b], dtype="int32")))


def _range(start: int, limit: int, delta: int) -> Send:
    inputs: list[tuple[str, str, list[int]]] = [(name, "INT64", []) for name in ("start", "limit", "delta")]
    return infer(request("range", inputs, raw(start, limit, delta, dtype="int64")))


def _count(n: int) -> pb.ModelInferRequest:
    return request("count", [("n", "INT64", [])], raw(n, dtype="int64"))


def _count_within_us(n: int, timeout_us: int) -> pb.ModelInferRequest:
    message = _count(n)
    message.parameters["timeout"].int64_param = timeout_us
    return message


# A busy machine may hold up a request for a while before its run begins.
LONG_US = 1_000_000
# Sizes of memory are beyond any address space: no system grants them.
TABLE = (
    BadRequest("Gather behind the end", _indexed("gather", [0, 99], [1, 2, 3]), INVALID, "out of data bounds"),
    BadRequest("Gather before the start", _indexed("gather", [-(2**63)], [1, 2, 3]), INVALID, "out of data bounds"),
    BadRequest("Gather from nothing", _indexed("gather", [0], []), INVALID, "out of data bounds"),
    BadRequest("Reshape into more elements", _indexed("reshape", [4, 4], [1, 2, 3]), "INTERNAL", "cannot be reshaped"),
    BadRequest("Reshape with two unknowns", _indexed("reshape", [-1, -1], [1, 2, 3]), "INTERNAL", "Reshape"),
    BadRequest("Reshape into a negative", _indexed("reshape", [-7], [1, 2, 3]), "INTERNAL", "Reshape"),
    BadRequest("Expand over all memory", _indexed("expand", [2**59], [1]), "RESOURCE_EXHAUSTED", "not enough memory"),
    BadRequest("Expand over all numbers", _indexed("expand", [2**40, 2**40], [1]), "INTERNAL", "Expand"),
    BadRequest("Expand to a negative", _indexed("expand", [-5], [1]), "INTERNAL", "must be >= 0"),
    BadRequest("Expand what does not fit", _indexed("expand", [4], [1, 2, 3]), INVALID, "Expand"),
    BadRequest("Tile by a negative", _indexed("tile", [-3], [1]), INVALID, "Tile"),
    BadRequest("INT32 divided by zero", _divide(1, 0), "INTERNAL", "division by zero"),
    BadRequest("Range of steps of zero", _range(0, 9, 0), INVALID, "delta"),
    BadRequest("Range over all memory", _range(0, 2**59, 1), "RESOURCE_EXHAUSTED", "not enough memory"),
    BadRequest(
        "a text that is no number",
        infer(request("parse", [("x", "BYTES", [1])], [strings(b"one")])),
        "INTERNAL",
        "Cast",
    ),
    BadRequest(
        "a run without an end, the caller's deadline", infer(_count(ENDLESS), timeout_s=0.3), "DEADLINE_EXCEEDED", ""
    ),
    BadRequest(
        "a run without an end, the request's timeout",
        infer(_count_within_us(ENDLESS, LONG_US)),
        "DEADLINE_EXCEEDED",
        "the deadline passed while the inference ran",
    ),
    BadRequest(
        "a run without an end stopped the last one",
        infer(_count_within_us(ENDLESS, LONG_US)),
        "DEADLINE_EXCEEDED",
        "the deadline passed while the inference ran",  # not while it waited for the model's only worker
    ),
)
