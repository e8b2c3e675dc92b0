import numpy as np
import pytest

from ortolan.inference.inference_pb2 import InferTensorContents
from ortolan_server.tensors import DATATYPES, DATATYPES_BY_ONNX_TYPE

PROTOCOL = ["BOOL", *(f"{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64))]
PROTOCOL += ["FP16", "FP32", "FP64", "BF16", "BYTES"]


def test_table_has_every_datatype_of_the_protocol() -> None:
    assert list(DATATYPES) == PROTOCOL
    assert [datatype.name for datatype in DATATYPES_BY_ONNX_TYPE.values()] == PROTOCOL


@pytest.mark.parametrize(
    ("name", "onnx_type", "dtype", "item_size"),
    [
        ("BOOL", "tensor(bool)", np.bool_, 1),
        ("INT8", "tensor(int8)", np.int8, 1),
        ("UINT16", "tensor(uint16)", np.uint16, 2),
        ("INT64", "tensor(int64)", np.int64, 8),
        ("FP16", "tensor(float16)", np.float16, 2),
        ("FP32", "tensor(float)", np.float32, 4),
        ("FP64", "tensor(double)", np.float64, 8),
        ("BF16", "tensor(bfloat16)", np.uint16, 2),
        ("BYTES", "tensor(string)", np.object_, 0),
    ],
)
def test_row(name: str, onnx_type: str, dtype: type[np.generic], item_size: int) -> None:
    datatype = DATATYPES[name]
    assert (datatype.onnx_type, datatype.dtype, datatype.item_size) == (onnx_type, np.dtype(dtype), item_size)
    assert DATATYPES_BY_ONNX_TYPE[onnx_type] is datatype


def test_contents_fields_are_those_of_the_message() -> None:
    named = {datatype.contents_field for datatype in DATATYPES.values()} - {""}
    assert named == {field.name for field in InferTensorContents.DESCRIPTOR.fields}
    assert {name for name, datatype in DATATYPES.items() if not datatype.contents_field} == {"FP16", "BF16"}
