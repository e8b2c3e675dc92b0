"""A whole configuration of Triton's as a model.toml, and that none of its settings is lost."""

from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from ortolan.inference import model_config_pb2 as pb
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.triton import Note, Outcome, TritonConfig, parse_config_json, translate
from ortolan_server.repository.triton.fields import settings
from tests.server.repository.triton.translating import ON_CPU, model_toml, noted, refusal, translated

SIMPLE = """
    name: "digits"
    platform: "onnxruntime_onnx"
    max_batch_size: 8
    input [ { name: "a" data_type: TYPE_INT32 dims: [ 16 ] }, { name: "b" data_type: TYPE_STRING dims: [ -1 ] } ]
    output { name: "c" data_type: TYPE_FP32 dims: [ 2, 3 ] }
    instance_group { kind: KIND_CPU }
"""


def test_a_model_without_batching() -> None:
    assert translated(SIMPLE).config == model_toml(
        input=[
            {"name": "a", "datatype": "INT32", "shape": [-1, 16]},
            {"name": "b", "datatype": "BYTES", "shape": [-1, -1]},
        ],
        output=[{"name": "c", "datatype": "FP32", "shape": [-1, 2, 3]}],
    )
    assert not noted(SIMPLE, Outcome.NOT_HONOURED)


def test_shapes_are_whole_without_a_batch() -> None:
    (tensor,) = translated('input { name: "x" data_type: TYPE_FP16 dims: [ 3, 4 ] }').config.input
    assert tensor.shape == (3, 4)


def test_batching_and_its_queue() -> None:
    text = (
        ON_CPU
        + """
        max_batch_size: 16
        dynamic_batching {
          preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 150 preserve_ordering: true priority_levels: 2
          default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 9 max_queue_size: 32 }
          priority_queue_policy { key: 1 value { max_queue_size: 3 } }
        }
    """
    )
    assert translated(text).config == model_toml(
        batching={"max_size": 16, "preferred_sizes": [4, 8], "max_delay_ms": 0.15}, limits={"queue": 32}
    )
    assert noted(text, Outcome.NOT_HONOURED).keys() == {
        "dynamic_batching.preserve_ordering",
        "dynamic_batching.priority_levels",
        "dynamic_batching.default_queue_policy.timeout_action",
        "dynamic_batching.default_queue_policy.default_timeout_microseconds",
        'dynamic_batching.priority_queue_policy["1"].max_queue_size',
    }


def test_empty_batching_is_batching() -> None:
    assert (
        translated("max_batch_size: 4 dynamic_batching {}").config.batching
        == model_toml(batching={"max_size": 4}).batching
    )


def test_batching_without_a_batch_is_none() -> None:
    text = "dynamic_batching { preferred_batch_size: 4 default_queue_policy { max_queue_size: 7 } }"
    config = translated(text).config
    assert config.batching is None
    assert config.limits.queue == 7
    assert noted(text, Outcome.NOT_HONOURED).keys() == {"dynamic_batching"}


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ("", {"latest": 1}),
        ("version_policy: { latest {} }", {"latest": 1}),
        ("version_policy: { latest { num_versions: 3 } }", {"latest": 3}),
        ("version_policy: { all {} }", {"all": True}),
        ("version_policy: { specific { versions: [ 1, 4 ] } }", {"specific": [1, 4]}),
    ],
)
def test_versions(text: str, versions: dict[str, object]) -> None:
    assert translated(text).config.versions == model_toml(versions=versions).versions
    assert not noted(text, Outcome.NOT_HONOURED)


def test_the_name_of_the_file() -> None:
    assert translated('default_model_filename: "net.onnx"').config.file == "net.onnx"
    for name in ("model.plan", "../x.onnx", "a/b.onnx", "a\\\\b.onnx", "/x.onnx"):
        assert "must be the name of a .onnx file" in refusal(f'default_model_filename: "{name}"')[0]


def test_warm_up() -> None:
    text = (
        ON_CPU
        + """
        max_batch_size: 8 dynamic_batching {}
        model_warmup [
          { name: "zeros" batch_size: 4 count: 3
            inputs { key: "x" value: { data_type: TYPE_FP32 dims: [ 2 ] zero_data: true } } },
          { batch_size: 1
            inputs { key: "x" value: { data_type: TYPE_FP32 dims: [ 2 ] input_data_file: "raw" } }
            inputs { key: "y" value: { dims: [ 1, 1 ] random_data: false } } }
        ]
    """
    )
    assert (
        translated(text).config.warmup
        == model_toml(
            warmup=[
                {
                    "name": "zeros",
                    "batch_sizes": [4],
                    "runs": 3,
                    "inputs": {"x": {"shape": [4, 2], "data": "zeros"}},
                },
                {
                    "batch_sizes": [1],
                    "inputs": {"x": {"shape": [1, 2], "data": "random"}, "y": {"shape": [1, 1, 1], "data": "random"}},
                },
            ]
        ).warmup
    )
    assert noted(text, Outcome.NOT_HONOURED) == {
        'model_warmup[2].inputs["x"].input_data_file': "random values take its place"
    }


def test_a_warm_up_without_a_batch() -> None:
    text = 'model_warmup { batch_size: 1 inputs { key: "x" value: { dims: [ 2 ] zero_data: true } } }'
    (sample,) = translated(text).config.warmup
    assert sample.batch_sizes == ()
    assert sample.inputs["x"].shape == (2,)
    (sample,) = translated(f"max_batch_size: 8 {text}").config.warmup
    assert sample.batch_sizes == ()
    assert sample.inputs["x"].shape == (1, 2)
    assert refusal(text.replace("1", "2")) == ["model_warmup[1].batch_size: must be 1 with max_batch_size 0, not 2"]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ('platform: "tensorrt_plan"', ["platform"]),
        ('backend: "python"', ["backend"]),
        ('platform: "ensemble" ensemble_scheduling { step { model_name: "x" } }', ["platform", "ensemble_scheduling"]),
        ("sequence_batching { direct {} }", ["sequence_batching"]),
        ("model_transaction_policy { decoupled: true }", ["model_transaction_policy.decoupled"]),
        ('model_operations { op_library_filename: "x.so" }', ["model_operations.op_library_filename"]),
        ("batch_input { kind: BATCH_ITEM_SHAPE }", ["batch_input"]),
        ("batch_output {}", ["batch_output"]),
        ('name: "letters"', ["name"]),
        ('input { name: "x" data_type: TYPE_FP32 dims: 1 reshape {} }', ["input[1].reshape"]),
        ("output { dims: 1 }", ["output[1].name", "output[1].data_type"]),
        ("max_batch_size: -1", ["max_batch_size"]),
        ("max_batch_size: 4 dynamic_batching { preferred_batch_size: 8 }", ["batching.preferred_sizes"]),
    ],
)
def test_models_that_are_refused(text: str, keys: list[str]) -> None:
    assert [line.partition(":")[0] for line in refusal(text)] == keys


def test_a_reshape_that_changes_nothing() -> None:
    text = 'input { name: "x" data_type: TYPE_FP32 dims: [ 2, 1 ] reshape { shape: [ 2, 1 ] } }'
    assert not noted(text, Outcome.NOT_HONOURED)


def test_switches_that_are_off_are_no_loss() -> None:
    assert not noted(ON_CPU + "response_cache {} model_transaction_policy { decoupled: false }", Outcome.NOT_HONOURED)
    assert not noted(ON_CPU + "optimization { execution_accelerators {} }", Outcome.NOT_HONOURED)


def test_what_a_note_says() -> None:
    (note,) = [note for note in translated('metric_tags { key: "team" value: "a" }').notes if "metric" in note.key]
    assert note == Note('metric_tags["team"]', "a", Outcome.NOT_HONOURED, "nothing here does this")
    assert str(note) == 'metric_tags["team"] = a: nothing here does this'


def test_json_is_translated_alike() -> None:
    translation = translate(parse_config_json('{"max_batch_size": 4, "dynamic_batching": {}, "x": 1}', "config"), "m")
    assert translation.config.batching is not None
    assert [note.key for note in translation.notes if note.outcome is Outcome.NOT_HONOURED] == ["x"]


Fields = tuple[FieldDescriptor, ...]


def every_setting(message: Descriptor, path: Fields = ()) -> Iterator[Fields]:
    """The way to each field of a message that is no message, or one with nothing in it."""
    for field in message.fields:
        inner = field.message_type
        if inner is not None and inner.GetOptions().map_entry:
            inner = inner.fields_by_name["value"].message_type
        if inner is None or not inner.fields:
            yield (*path, field)
        else:
            yield from every_setting(inner, (*path, field))


def set_one(message: Message, path: Fields) -> None:
    field, *rest = path
    held, inner = getattr(message, field.name), field.message_type
    if inner is None:
        held.append(some(field)) if hasattr(held, "append") else setattr(message, field.name, some(field))
        return
    if inner.GetOptions().map_entry:
        key, value = some(inner.fields_by_name["key"]), inner.fields_by_name["value"]
        if value.message_type is None:
            held[key] = some(value)
            return
        held = held[key]
    elif hasattr(held, "add"):
        held = held.add()
    held.SetInParent()
    if rest:
        set_one(held, tuple(rest))


def some(field: FieldDescriptor) -> object:
    """Another value than the default, if there is one."""
    if field.enum_type is not None:
        return max(field.enum_type.values_by_number)
    return {FieldDescriptor.CPPTYPE_STRING: "1", FieldDescriptor.CPPTYPE_BOOL: True}.get(field.cpp_type, 1)


def _complete(config: pb.ModelConfig) -> None:
    """What no tensor and no accelerator may lack."""
    tensors: list[pb.ModelInput | pb.ModelOutput] = [*config.input, *config.output]
    for tensor in tensors:
        tensor.name, tensor.data_type = tensor.name or "x", tensor.data_type or pb.TYPE_FP32
    for accelerator in config.optimization.execution_accelerators.gpu_execution_accelerator:
        accelerator.name = accelerator.name or "cuda"
    for accelerator in config.optimization.execution_accelerators.cpu_execution_accelerator:
        accelerator.name = accelerator.name or "openvino"


@pytest.mark.parametrize(
    "path", list(every_setting(pb.ModelConfig.DESCRIPTOR)), ids=lambda path: ".".join(field.name for field in path)
)
def test_no_setting_is_lost(path: Fields) -> None:
    """Each alone is named, by a note or by the reason of a refusal."""
    config = pb.ModelConfig()
    set_one(config, path)
    ((setting, _),) = settings(config)
    _complete(config)
    try:
        keys = [note.key for note in translate(TritonConfig(config, (), "c"), "digits").notes]
    except InvalidConfig as error:
        keys = [line.split(": ")[1] for line in str(error).splitlines()]
    assert any(f"{setting}.".startswith((f"{key}.", f"{key}[")) or key.startswith(f"{setting}.") for key in keys), keys
