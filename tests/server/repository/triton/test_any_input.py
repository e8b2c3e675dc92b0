"""Whatever a file or a client holds, it is read, or refused in words."""

import json
from contextlib import suppress

from google.protobuf import text_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given, settings
from hypothesis import strategies as some

from ortolan.inference import model_config_pb2 as pb
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.triton import parse_config, parse_config_json, translate

Values = some.SearchStrategy[object]

NAMES = sorted({field.name for message in pb.DESCRIPTOR.message_types_by_name.values() for field in message.fields})
WORDS = ["{", "}", "<", ">", "[", "]", ":", ",", ";", "#", "\n", "'", '"', "'a'", '"\\xff"', "-1", "1e9", "0x10"]
TOKENS = some.sampled_from([*NAMES, *WORDS, "KIND_GPU", "TYPE_FP32", "key", "value", "a.b", "é", "9" * 30])
# Names that mean something, numbers that are none, and what would break a line.
STRINGS = [
    *("tensorrt", "cuda", "openvino", "onnxruntime", "onnxruntime_onnx", "model", "net.onnx", "FP16", "INT8", "true"),
    *("precision_mode", "trt_engine_cache_path", "trt_profile_min_shapes", "device_id", "load_config", "x:1x2"),
    *(
        "intra_op_thread_count",
        "inter_op_thread_count",
        "execution_mode",
        "gpu_mem_limit",
        "session.disable_prepacking",
    ),
    *("0", "1", "2", "-3", "", "{", '{"CPU": 1}', "\n", "\x7f", 'a"b', "9" * 30),
]


def values(field: FieldDescriptor, depth: int) -> Values:
    """As JSON has them."""
    if field.message_type is not None:
        return messages(field.message_type, depth - 1)
    if field.enum_type is not None:
        return some.sampled_from([value.name for value in field.enum_type.values])
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return some.booleans()
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return some.sampled_from(STRINGS)
    least, most = {
        FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
        FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
        FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
        FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    }[field.cpp_type]
    return some.integers(max(least, -1), 9) | some.integers(least, most)


def messages(message: Descriptor, depth: int) -> Values:
    """Some of its fields, down to that depth."""
    fields: dict[str, Values] = {}
    for field in message.fields:
        inner = field.message_type
        if inner is not None and depth == 0:
            continue
        if inner is not None and inner.GetOptions().map_entry:
            keys = some.sampled_from(["1", "2"] if field.name == "priority_queue_policy" else STRINGS)
            fields[field.name] = some.dictionaries(keys, values(inner.fields_by_name["value"], depth), max_size=4)
        elif field.is_repeated:
            fields[field.name] = some.lists(values(field, depth), max_size=2)
        else:
            fields[field.name] = values(field, depth)
    oneof = {field.name for field in message.fields if field.containing_oneof is not None}
    return some.fixed_dictionaries({}, optional=fields).map(
        lambda found: {name: value for name, value in found.items() if name not in sorted(oneof & found.keys())[1:]}
    )


@settings(max_examples=300)
@given(some.lists(TOKENS).map(" ".join) | some.text(max_size=40))
def test_any_text(text: str) -> None:
    with suppress(InvalidConfig):
        translate(parse_config(text, "config.pbtxt"), "model")


@settings(max_examples=300)
@given(messages(pb.ModelConfig.DESCRIPTOR, 4))
def test_any_configuration(document: dict[str, object]) -> None:
    """Its text and its JSON say the same, and whatever they ask for is translated or refused."""
    read = parse_config_json(json.dumps(document), "config")
    assert read.unknown == ()
    assert parse_config(text_format.MessageToString(read.config), "config") == read
    with suppress(InvalidConfig):
        translate(read, "model")
