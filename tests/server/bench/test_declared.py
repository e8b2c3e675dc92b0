"""What a model's file says it takes."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from ortolan_backends.runtime.model import read_model
from ortolan_server.bench.declared import declared_signature
from ortolan_server.errors import InvalidConfig
from tests import models


def test_weights_are_no_inputs(tmp_path: Path) -> None:
    """Models of old have them among both."""
    proto = models.add_one()
    proto.graph.input.append(models.value("one", TensorProto.FLOAT, [1]))
    wanted = declared_signature(read_model(models.save(proto, tmp_path)))
    assert [spec.name for spec in wanted.inputs] == ["x"]
    assert wanted.has_batch_axis


def test_a_model_whose_tensors_cannot_be_carried(tmp_path: Path) -> None:
    x = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [1])
    node = helper.make_node("SequenceLength", ["x"], ["y"], name="length")
    proto = models.model([node], [x], [models.value("y", TensorProto.INT64, [])])
    with pytest.raises(InvalidConfig, match="cannot carry this model's tensors: input 'x' is sequence"):
        declared_signature(read_model(models.save(proto, tmp_path)))
