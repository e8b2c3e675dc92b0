"""Bad requests: tensors that do not fit the model or their own data."""

from typing import Any

from ortolan.inference import inference_pb2 as pb
from tests.conformance.sending import BadRequest, altered, infer, raw, request, strings

__all__ = ["TABLE"]

INVALID = "INVALID_ARGUMENT"
PAIR = [("INPUT0", "INT32", [1, 16]), ("INPUT1", "INT32", [1, 16])]
SIXTEEN = bytes(64)


def _ones(count: int) -> list[bytes]:
    return raw([1.0] * count)


def _add_one(shape: list[int], data: list[bytes], datatype: str = "FP32") -> pb.ModelInferRequest:
    return request("add_one", [("x", datatype, shape)], data)


def _text(shape: list[int], data: bytes) -> pb.ModelInferRequest:
    return request("text", [("x", "BYTES", shape)], [data])


def _contents(model: str, datatype: str, shape: list[int], **lists: list[Any]) -> pb.ModelInferRequest:
    message = request(model, [("x", datatype, shape)])
    message.inputs[0].contents.CopyFrom(pb.InferTensorContents(**lists))
    return message


NAMES = (
    BadRequest("no inputs", infer(request("simple", [])), INVALID, "missing input 'INPUT0' INT32.*'INPUT1'.*nothing"),
    BadRequest("an input is missing", infer(request("simple", PAIR[:1], [SIXTEEN])), INVALID, "missing input 'INPUT1'"),
    BadRequest(
        "an input too many",
        infer(request("simple", [*PAIR, ("INPUT2", "INT32", [1])], [SIXTEEN] * 3)),
        INVALID,
        "no input 'INPUT2'; it takes 'INPUT0'",
    ),
    BadRequest(
        "an input twice",
        infer(request("simple", [PAIR[0], PAIR[0]], [SIXTEEN] * 2)),
        INVALID,
        "input 'INPUT0' came more than once",
    ),
    BadRequest(
        "an unknown input", infer(request("add_one", [("X", "FP32", [1, 2])], _ones(2))), INVALID, "no input 'X'"
    ),
    BadRequest("an input without a name", infer(request("add_one", [("", "FP32", [1, 2])], _ones(2))), INVALID, "''"),
    BadRequest(
        "the name of an input is a megabyte long",
        infer(request("add_one", [("x" * 2**19, "FP32", [1, 2])], _ones(2))),
        INVALID,
        "^the model has no input 'x{50,70}….{0,200}$",
    ),
    BadRequest(
        "the name of an input would forge a line of the log",
        infer(request("add_one", [('x\n{"event":"model_ready"}', "FP32", [1, 2])], _ones(2))),
        INVALID,
        r"no input 'x\\n",
    ),
    BadRequest(
        "ten thousand inputs",
        infer(request("add_one", [("x", "FP32", [1, 2])] * 10_000, _ones(2))),
        INVALID,
        "came more than once",
    ),
    BadRequest(
        "an unknown output",
        infer(request("simple", PAIR, [SIXTEEN] * 2, outputs=["OUTPUT7"])),
        INVALID,
        "no output 'OUTPUT7'; it gives 'OUTPUT0'",
    ),
    BadRequest(
        "an output twice",
        infer(request("simple", PAIR, [SIXTEEN] * 2, outputs=["OUTPUT0", "OUTPUT0"])),
        INVALID,
        "output 'OUTPUT0' is requested more than once",
    ),
)

SHAPES = (
    BadRequest(
        "another datatype", infer(_add_one([1, 2], raw([1, 2], dtype="int32"), "INT32")), INVALID, "wanted FP32"
    ),
    BadRequest("no datatype", infer(_add_one([1, 2], _ones(2), "")), INVALID, "datatype '', which is none of BOOL"),
    BadRequest(
        "a datatype that does not exist", infer(_add_one([1, 2], _ones(2), "FP128")), INVALID, "'FP128', which is none"
    ),
    BadRequest("a lower rank", infer(_add_one([2], _ones(2))), INVALID, r"\[2\] of rank 1; wanted \[N,2\] of rank 2"),
    BadRequest("a higher rank", infer(_add_one([1, 1, 2], _ones(2))), INVALID, "of rank 3; wanted .* of rank 2"),
    BadRequest("no shape", infer(_add_one([], _ones(1))), INVALID, r"\[\] of rank 0"),
    BadRequest(
        "a shape for a scalar", infer(request("scalar", [("x", "FP32", [1])], _ones(1))), INVALID, "wanted .* of rank 0"
    ),
    BadRequest("another fixed dimension", infer(_add_one([1, 3], _ones(3))), INVALID, "dimension 1 is 3, not 2"),
    BadRequest("a negative dimension", infer(_add_one([-1, 2], _ones(2))), INVALID, "with a negative dimension"),
    BadRequest("the smallest dimension", infer(_add_one([-(2**63), 2], [b""])), INVALID, "negative dimension"),
    BadRequest(
        "a shape that overflows to nothing",
        infer(request("any_rank", [("x", "FP32", [2**62, 4])], [b""])),
        INVALID,
        "more bytes than can be counted",
    ),
    BadRequest(
        "a shape that overflows behind a zero",
        infer(request("any_rank", [("x", "FP32", [0, 2**62, 2**62])], [b""])),
        INVALID,
        "more bytes than can be counted",
    ),
    BadRequest(
        "a huge dimension behind a zero",
        infer(request("any_rank", [("x", "FP32", [0, 2**29])], [b""])),
        INVALID,
        r"'x' has shape \[0,536870912\]: empty, but 2147483648 bytes .* at most 268435456",
    ),
    BadRequest("a huge dimension", infer(_add_one([2**59, 2], _ones(2))), INVALID, "has 8 bytes of data; wanted"),
    BadRequest(
        "a million dimensions",
        infer(request("any_rank", [("x", "FP32", [1] * 1_000_000)], _ones(1))),
        INVALID,
        "1000000 dimensions; wanted at most 32",
    ),
    BadRequest(
        "a symbol with two sizes",
        infer(request("sum", [("a", "FP32", [2, 3]), ("b", "FP32", [3, 3])], _ones(6) + _ones(9))),
        INVALID,
        "dimension 'N' is 2 in input 'a' and 3 in input 'b'",
    ),
)

RAW = (
    BadRequest("no data", infer(_add_one([1, 2], [])), INVALID, "0 elements in its contents; wanted 2"),
    BadRequest("empty data", infer(_add_one([1, 2], [b""])), INVALID, "0 bytes of data; wanted 8 for FP32"),
    BadRequest("data cut short", infer(_add_one([1, 2], [b"\0" * 7])), INVALID, "7 bytes of data; wanted 8"),
    BadRequest("data too long", infer(_add_one([1, 2], [b"\0" * 9])), INVALID, "9 bytes of data; wanted 8"),
    BadRequest("data for nothing", infer(_add_one([0, 2], [b"\0"])), INVALID, "1 bytes of data; wanted 0"),
    BadRequest(
        "fewer raw entries than inputs", infer(request("simple", PAIR, [SIXTEEN])), INVALID, "1 entries; wanted 2"
    ),
    BadRequest(
        "more raw entries than inputs", infer(request("simple", PAIR, [SIXTEEN] * 3)), INVALID, "3 entries; wanted 2"
    ),
    BadRequest(
        "contents beside raw data",
        infer(altered(lambda message: message.inputs[0].contents.int_contents.append(1))),
        INVALID,
        "'INPUT0' has contents beside raw_input_contents",
    ),
    BadRequest(
        "BOOL of 2",
        infer(request("twice_bool", [("x", "BOOL", [1, 3])], [b"\1\2\0"])),
        INVALID,
        "a byte 2 in its data; wanted 0 or 1",
    ),
)

CONTENTS = (
    BadRequest(
        "contents of another list",
        infer(_contents("add_one", "FP32", [1, 2], fp64_contents=[1.0, 2.0])),
        INVALID,
        "has fp64_contents; wanted fp32_contents",
    ),
    BadRequest(
        "contents of two lists",
        infer(_contents("add_one", "FP32", [1, 2], fp32_contents=[1.0, 2.0], int_contents=[1])),
        INVALID,
        "has int_contents; wanted fp32_contents",
    ),
    BadRequest(
        "contents of too many elements",
        infer(_contents("add_one", "FP32", [1, 2], fp32_contents=[1.0] * 3)),
        INVALID,
        "3 elements in its contents; wanted 2",
    ),
    BadRequest(
        "contents for a huge shape",
        infer(_contents("add_one", "FP32", [2**59, 2], fp32_contents=[1.0])),
        INVALID,
        "1 elements in its contents; wanted",
    ),
    BadRequest(
        "INT8 of 128",
        infer(_contents("twice_int8", "INT8", [1, 3], int_contents=[1, 128, 0])),
        INVALID,
        "128 at element 1; wanted -128 to 127",
    ),
    BadRequest(
        "UINT16 of 65536",
        infer(_contents("twice_uint16", "UINT16", [1, 3], uint_contents=[65536, 0, 0])),
        INVALID,
        "65536 at element 0; wanted 0 to 65535",
    ),
    BadRequest(
        "FP16 as contents",
        infer(_contents("twice_fp16", "FP16", [1, 3], fp32_contents=[1.0, 2.0, 3.0])),
        INVALID,
        "FP16 travels in raw_input_contents only",
    ),
    BadRequest(
        "BF16 as contents",
        infer(_contents("twice_bf16", "BF16", [1, 3], fp32_contents=[1.0, 2.0, 3.0])),
        INVALID,
        "BF16 travels in raw_input_contents only",
    ),
    BadRequest(
        "BYTES as contents that are no UTF-8",
        infer(_contents("text", "BYTES", [2], bytes_contents=[b"good", b"\xff"])),
        INVALID,
        "element 1 is not UTF-8 at byte 0",
    ),
)

BYTES = (
    BadRequest(
        "BYTES cut off in a length", infer(_text([1], b"\1\0\0")), INVALID, "3 bytes of data; wanted at least 4"
    ),
    BadRequest("BYTES cut off in an element", infer(_text([1], strings(b"abc")[:-1])), INVALID, "3 bytes; 2 are left"),
    BadRequest(
        "BYTES of too few elements", infer(_text([3], strings(b"a" * 20))), INVALID, "ends after 1 of 3 elements"
    ),
    BadRequest(
        "BYTES of too many elements", infer(_text([1], strings(b"a", b"b"))), INVALID, "5 bytes of data behind its 1"
    ),
    BadRequest(
        "BYTES of 4 GiB, as it says", infer(_text([1], b"\xff\xff\xff\xffa")), INVALID, "says it has 4294967295 bytes"
    ),
    BadRequest(
        "BYTES that are no UTF-8",
        infer(_text([2], strings(b"ok", b"a\xc3\x28"))),
        INVALID,
        "element 1 is not UTF-8 at byte 1",
    ),
    BadRequest(
        "BYTES with half a surrogate pair", infer(_text([1], strings(b"\xed\xa0\x80"))), INVALID, "is not UTF-8"
    ),
    BadRequest(
        "BYTES of a million elements and more",
        infer(_text([2**20 + 1], bytes(4 * (2**20 + 1)))),
        INVALID,
        "'x' has 1048577 elements of BYTES; wanted at most 1048576",
    ),
    BadRequest(
        "BYTES of a million elements and more, as contents",
        infer(_contents("text", "BYTES", [2**20 + 1], bytes_contents=[b""] * (2**20 + 1))),
        INVALID,
        "'x' has 1048577 elements of BYTES; wanted at most 1048576",
    ),
    BadRequest(
        "BYTES with a shape for 2^61 elements",
        infer(_text([2**59], b"")),
        INVALID,
        "wanted at least 2305843009213693952",
    ),
)

TABLE = NAMES + SHAPES + RAW + CONTENTS + BYTES
