"""A repository with the shapes of Triton's own examples, written as Triton has it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests import models

__all__ = ["EXAMPLES", "RECORDED", "Example", "write_repository"]

RECORDED = np.arange(16, dtype=np.int32)
"""What `warm` records for its warm-up: the file `warmup/recorded`."""


@dataclass(frozen=True, slots=True)
class Example:
    """One model of the repository."""

    config: str
    make: Callable[[], onnx.ModelProto] | None = None
    """None: what Triton has there is no ONNX model."""
    refused: str = ""
    """A part of the reason, of one that is not served on a machine with nothing but a CPU."""
    file: str = "model.onnx"


def _add_sub() -> onnx.ModelProto:
    """INPUT0, INPUT1 INT32[N,16] → their sum and their difference."""
    shapes = [models.value(name, TensorProto.INT32, ["N", 16]) for name in ("INPUT0", "INPUT1", "OUTPUT0", "OUTPUT1")]
    add = helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"])
    subtract = helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"])
    return models.model([add, subtract], shapes[:2], shapes[2:])


def _pass_on(given: str, back: str, kind: int, shape: Sequence[int | str]) -> onnx.ModelProto:
    """The input is the output."""
    node = helper.make_node("Identity", [given], [back])
    return models.model([node], [models.value(given, kind, shape)], [models.value(back, kind, shape)])


def _densenet() -> onnx.ModelProto:
    """An image FP32[3,224,224] → its scores FP32[1000], by a shape that fixes every size."""
    return models.model(
        [
            helper.make_node("ReduceMean", ["data_0"], ["mean"], keepdims=0),
            helper.make_node("Add", ["places", "mean"], ["fc6_1"]),
        ],
        [models.value("data_0", TensorProto.FLOAT, [3, 224, 224])],
        [models.value("fc6_1", TensorProto.FLOAT, [1000])],
        [models.tensor("places", np.arange(1000))],
    )


_IO = """
input [
  { name: "INPUT0" data_type: TYPE_INT32 dims: [ 16 ] },
  { name: "INPUT1" data_type: TYPE_INT32 dims: [ 16 ] }
]
output [
  { name: "OUTPUT0" data_type: TYPE_INT32 dims: [ 16 ] },
  { name: "OUTPUT1" data_type: TYPE_INT32 dims: [ 16 ] }
]
"""
_SEQUENCE_IO = """
input [ { name: "INPUT" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "OUTPUT" data_type: TYPE_INT32 dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU } ]
"""

EXAMPLES: Mapping[str, Example] = {
    "simple": Example(
        f'name: "simple"\nplatform: "onnxruntime_onnx"\nmax_batch_size: 8{_IO}',
        _add_sub,
    ),
    "simple_string": Example(
        """
        name: "simple_string"
        backend: "onnxruntime"
        max_batch_size: 8
        input [ { name: "INPUT0" data_type: TYPE_STRING dims: [ -1 ] } ]
        output [ { name: "OUTPUT0" data_type: TYPE_STRING dims: [ -1 ] } ]
        version_policy: { latest: { num_versions: 1 } }
        instance_group [ { kind: KIND_CPU } ]
        """,
        lambda: _pass_on("INPUT0", "OUTPUT0", TensorProto.STRING, ["N", "M"]),
    ),
    "simple_identity": Example(
        """
        name: "simple_identity"
        platform: "onnxruntime_onnx"
        default_model_filename: "identity.onnx"
        max_batch_size: 8
        input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
        output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ -1 ] } ]
        dynamic_batching {
          preferred_batch_size: [ 4, 8 ]
          max_queue_delay_microseconds: 500
          priority_levels: 2
          default_queue_policy { max_queue_size: 64 default_timeout_microseconds: 1000000 }
        }
        instance_group [ { count: 2 kind: KIND_CPU } ]
        response_cache { enable: true }
        parameters { key: "intra_op_thread_count" value: { string_value: "1" } }
        """,
        lambda: _pass_on("INPUT0", "OUTPUT0", TensorProto.FLOAT, ["N", "M"]),
        file="identity.onnx",
    ),
    "densenet_onnx": Example(
        """
        name: "densenet_onnx"
        platform: "onnxruntime_onnx"
        max_batch_size : 0
        input [ { name: "data_0" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, 224, 224 ] } ]
        output [ { name: "fc6_1" data_type: TYPE_FP32 dims: [ 1000 ] label_filename: "densenet_labels.txt" } ]
        """,
        _densenet,
    ),
    "warm": Example(
        f"""
        name: "warm"
        platform: "onnxruntime_onnx"
        max_batch_size: 8 {_IO}
        instance_group [ {{ kind: KIND_CPU }} ]
        optimization {{ graph {{ level: 1 }} }}
        model_warmup [ {{
          name: "recorded"
          batch_size: 2
          inputs {{ key: "INPUT0" value: {{ data_type: TYPE_INT32 dims: [ 16 ] input_data_file: "recorded" }} }}
          inputs {{ key: "INPUT1" value: {{ data_type: TYPE_INT32 dims: [ 16 ] zero_data: true }} }}
        }} ]
        """,
        _add_sub,
    ),
    "on_tensorrt": Example(
        f"""
        name: "on_tensorrt"
        platform: "onnxruntime_onnx"
        max_batch_size: 8 {_IO}
        optimization {{ execution_accelerators {{ gpu_execution_accelerator : [ {{
          name : "tensorrt"
          parameters {{ key: "precision_mode" value: "FP16" }}
          parameters {{ key: "max_workspace_size_bytes" value: "1073741824" }}
        }} ] }} }}
        """,
        _add_sub,
        refused="rung 1 (tensorrt) refused at probe",
    ),
    "inception_graphdef": Example(
        """
        name: "inception_graphdef"
        platform: "tensorflow_graphdef"
        max_batch_size: 128
        input [ { name: "input" data_type: TYPE_FP32 format: FORMAT_NHWC dims: [ 299, 299, 3 ] } ]
        output [ {
          name: "InceptionV3/Predictions/Softmax" data_type: TYPE_FP32 dims: [ 1001 ]
          label_filename: "inception_labels.txt"
        } ]
        """,
        refused="platform: is 'tensorflow_graphdef'",
    ),
    "simple_sequence": Example(
        f"""
        name: "simple_sequence"
        platform: "onnxruntime_onnx"
        max_batch_size: 8 {_SEQUENCE_IO}
        sequence_batching {{
          max_sequence_idle_microseconds: 5000000
          control_input [
            {{ name: "START" control [ {{ kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] }} ] }}
          ]
        }}
        """,
        lambda: _pass_on("INPUT", "OUTPUT", TensorProto.INT32, ["N", 1]),
        refused="sequence_batching: ",
    ),
    "simple_dyna_sequence": Example(
        f"""
        name: "simple_dyna_sequence"
        platform: "onnxruntime_onnx"
        max_batch_size: 8 {_SEQUENCE_IO}
        sequence_batching {{ oldest {{ max_candidate_sequences: 1024 }} }}
        """,
        lambda: _pass_on("INPUT", "OUTPUT", TensorProto.INT32, ["N", 1]),
        refused="sequence_batching: ",
    ),
}


def write_repository(root: Path) -> None:
    """Every example, each with one version, and the files that their configurations name."""
    for name, example in EXAMPLES.items():
        version = root / name / "1"
        version.mkdir(parents=True)
        (root / name / "config.pbtxt").write_text(example.config)
        if example.make is None:
            (version / "model.graphdef").write_bytes(b"no ONNX")
        else:
            (version / example.file).write_bytes(example.make().SerializeToString())
    (root / "densenet_onnx/densenet_labels.txt").write_text("\n".join(f"class {number}" for number in range(1000)))
    (root / "warm/warmup").mkdir()
    (root / "warm/warmup/recorded").write_bytes(RECORDED.tobytes())
