"""Bad requests: parameters, classification, shared memory, and models and versions that are not there."""

from ortolan.inference import inference_pb2 as pb
from tests.conformance.sending import BadRequest, call, infer, request, strings, with_parameter

__all__ = ["TABLE"]

INVALID, UNIMPLEMENTED, NOT_FOUND = "INVALID_ARGUMENT", "UNIMPLEMENTED", "NOT_FOUND"


def _classified_text() -> pb.ModelInferRequest:
    message = request("text", [("x", "BYTES", [1])], [strings(b"a")], outputs=["y"])
    message.outputs[0].parameters["classification"].int64_param = 1
    return message


def _named(model: str, version: str = "") -> pb.ModelInferRequest:
    return request(model, [], version=version)


PARAMETERS = (
    BadRequest(
        "timeout as a text", infer(with_parameter("timeout", string_param="soon")), INVALID, "'soon'; wanted a number"
    ),
    BadRequest(
        "timeout as a bool",
        infer(with_parameter("timeout", bool_param=True)),
        INVALID,
        "'timeout' of the request is bool_param",
    ),
    BadRequest(
        "timeout below zero",
        infer(with_parameter("timeout", int64_param=-1)),
        INVALID,
        "wanted at least 0 microseconds",
    ),
    BadRequest(
        "timeout of a microsecond",
        infer(with_parameter("timeout", int64_param=1)),
        "DEADLINE_EXCEEDED",
        "the deadline had passed",
    ),
    BadRequest(
        "timeout without a value", infer(with_parameter("timeout")), INVALID, "'timeout' of the request is nothing"
    ),
    BadRequest(
        "priority as a text",
        infer(with_parameter("priority", string_param="high")),
        INVALID,
        "'priority' .* is string_param",
    ),
    BadRequest(
        "sequence_start as a number",
        infer(with_parameter("sequence_start", int64_param=1)),
        INVALID,
        "wanted bool_param",
    ),
    BadRequest(
        "sequence_id as a double",
        infer(with_parameter("sequence_id", double_param=1.5)),
        INVALID,
        "'sequence_id' .* is double_param",
    ),
    BadRequest(
        "an unknown reserved name",
        infer(with_parameter("triton_turbo", bool_param=True)),
        INVALID,
        "unknown parameter 'triton_turbo'",
    ),
    BadRequest(
        "binary_data of an input as a text",
        infer(with_parameter("binary_data", of="input", string_param="yes")),
        INVALID,
        "wanted bool_param",
    ),
)

CLASSIFICATION = (
    BadRequest(
        "classification of 0",
        infer(with_parameter("classification", of="output", int64_param=0)),
        INVALID,
        "asks for classification 0",
    ),
    BadRequest(
        "classification of -3",
        infer(with_parameter("classification", of="output", int64_param=-3)),
        INVALID,
        "wanted at least 1",
    ),
    BadRequest(
        "classification as a text",
        infer(with_parameter("classification", of="output", string_param="3")),
        INVALID,
        "is string_param; wanted int64_param",
    ),
    BadRequest(
        "classification of BYTES",
        infer(_classified_text()),
        INVALID,
        "output 'y' is BYTES; classification wants numbers",
    ),
)

SHARED_MEMORY = (
    BadRequest(
        "an input in shared memory, of no size",
        infer(with_parameter("shared_memory_region", of="input", string_param="region")),
        INVALID,
        "input 'INPUT0' is in shared memory, but of no size",
    ),
    BadRequest(
        "an output in shared memory, in no region",
        infer(with_parameter("shared_memory_byte_size", of="output", int64_param=64)),
        INVALID,
        "output 'OUTPUT0' names a place in shared memory, but no region",
    ),
    BadRequest(
        "shared memory status while it is off",
        call("SystemSharedMemoryStatus", b""),
        "PERMISSION_DENIED",
        r"shared memory is switched off on this server \(ortolan serve --shared-memory\)",
    ),
    BadRequest("CUDA shared memory status", call("CudaSharedMemoryStatus", b""), UNIMPLEMENTED, "is not implemented"),
)

MODELS = (
    BadRequest("no model", infer(_named("")), NOT_FOUND, "no model ''"),
    BadRequest("an unknown model", infer(_named("nobody")), NOT_FOUND, "no model 'nobody'; this server has: add_one, "),
    BadRequest("the path of a model", infer(_named("../simple")), NOT_FOUND, "no model '../simple'"),
    BadRequest("a model of a megabyte", infer(_named("m" * 2**19)), NOT_FOUND, "^no model 'm{1000,2000}…$"),
    BadRequest("a model with a NUL", infer(_named("simple\0")), NOT_FOUND, r"no model 'simple\\x00'"),
    BadRequest(
        "a model that could not be loaded",
        infer(_named("broken")),
        "UNAVAILABLE",
        "'broken' version 1 is FAILED: .*not a readable ONNX model",
    ),
    BadRequest("an unknown version", infer(_named("simple", "7")), NOT_FOUND, "'simple' has no version 7; it has: 1"),
    BadRequest(
        "a version that is a word", infer(_named("simple", "abc")), INVALID, "version 'abc' is not a positive integer"
    ),
    BadRequest("a version below zero", infer(_named("simple", "-1")), INVALID, "version '-1' is not"),
    BadRequest("version 0", infer(_named("simple", "0")), INVALID, "version '0' is not"),
    BadRequest("a version with a point", infer(_named("simple", "1.0")), INVALID, "version '1.0' is not"),
    BadRequest(
        "a version in other digits",
        infer(_named("simple", "\N{ARABIC-INDIC DIGIT ONE}")),
        INVALID,
        "is not a positive integer",
    ),
    BadRequest(
        "a version of a hundred thousand digits",
        infer(_named("simple", "1" * 100_000)),
        INVALID,
        "^version '1{40}' is not",
    ),
    BadRequest(
        "ready: an unknown model",
        call("ModelReady", pb.ModelReadyRequest(name="nobody")),
        NOT_FOUND,
        "no model 'nobody'",
    ),
    BadRequest(
        "ready: version abc",
        call("ModelReady", pb.ModelReadyRequest(name="simple", version="abc")),
        INVALID,
        "'abc' is not",
    ),
    BadRequest(
        "metadata: an unknown model",
        call("ModelMetadata", pb.ModelMetadataRequest(name="nobody")),
        NOT_FOUND,
        "no model 'nobody'",
    ),
    BadRequest(
        "metadata: an unknown version",
        call("ModelMetadata", pb.ModelMetadataRequest(name="simple", version="9")),
        NOT_FOUND,
        "no version 9",
    ),
    BadRequest(
        "metadata: a model that did not load",
        call("ModelMetadata", pb.ModelMetadataRequest(name="broken")),
        "UNAVAILABLE",
        "FAILED",
    ),
    BadRequest(
        "config: an unknown model",
        call("ModelConfig", pb.ModelConfigRequest(name="nobody")),
        NOT_FOUND,
        "no model 'nobody'",
    ),
    BadRequest(
        "config: version -1",
        call("ModelConfig", pb.ModelConfigRequest(name="simple", version="-1")),
        INVALID,
        "'-1' is not",
    ),
    BadRequest(
        "statistics: an unknown model",
        call("ModelStatistics", pb.ModelStatisticsRequest(name="nobody")),
        NOT_FOUND,
        "no model 'nobody'",
    ),
    BadRequest(
        "statistics: an unknown version",
        call("ModelStatistics", pb.ModelStatisticsRequest(name="simple", version="8")),
        NOT_FOUND,
        "no version 8",
    ),
)

TABLE = PARAMETERS + CLASSIFICATION + SHARED_MEMORY + MODELS
