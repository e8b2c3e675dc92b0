"""Tensors as the Open Inference Protocol describes them: datatypes, a model's signature, bytes to arrays and back."""

from ortolan_server.tensors.datatypes import DATATYPES, DATATYPES_BY_ONNX_TYPE, Datatype
from ortolan_server.tensors.decoding import decode_contents, decode_inputs, decode_raw
from ortolan_server.tensors.encoding import Array, encode_raw
from ortolan_server.tensors.plans import InputPlan, OutputHeader, OutputPlan, TensorHeader
from ortolan_server.tensors.signature import DeclaredTensor, Shape, Signature, TensorSpec

__all__ = [
    "DATATYPES",
    "DATATYPES_BY_ONNX_TYPE",
    "Array",
    "Datatype",
    "DeclaredTensor",
    "InputPlan",
    "OutputHeader",
    "OutputPlan",
    "Shape",
    "Signature",
    "TensorHeader",
    "TensorSpec",
    "decode_contents",
    "decode_inputs",
    "decode_raw",
    "encode_raw",
]
