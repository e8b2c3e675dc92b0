"""Inference requests out of arrays, arrays out of inference answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ortolan.inference import inference_pb2
from ortolan_client._errors import BadAnswer, InvalidInput
from ortolan_client._tensors import datatype_of, from_raw, to_raw

__all__ = ["Datatypes", "infer_request", "output_arrays"]

Datatypes = Callable[[], Mapping[str, str]]
"""Asks for the datatypes that the model declares for its inputs, by name."""


def infer_request(  # noqa: PLR0913 (the parts of one message)
    model: str,
    inputs: Mapping[str, ArrayLike],
    *,
    version: str,
    outputs: Sequence[str] | None,
    request_id: str,
    declared: Datatypes,
) -> inference_pb2.ModelInferRequest:
    """`declared` is called only where uint16 could mean BF16. Raises InvalidInput naming the tensor."""
    request = inference_pb2.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    for name, value in inputs.items():
        array = np.asarray(value)
        try:
            datatype = datatype_of(array)
            if datatype == "UINT16" and declared().get(name) == "BF16":
                datatype = "BF16"
            raw = to_raw(array, datatype)
        except ValueError as error:
            raise InvalidInput(f"input {name!r}: {error}", code="INVALID_ARGUMENT", model=model) from error
        request.inputs.add(name=name, datatype=datatype, shape=array.shape)
        request.raw_input_contents.append(raw)
    for name in outputs or ():
        request.outputs.add(name=name)
    return request


def output_arrays(response: inference_pb2.ModelInferResponse, model: str) -> dict[str, NDArray[Any]]:
    """Output name to array, in the order of the answer. Raises BadAnswer naming the tensor."""
    if len(response.raw_output_contents) != len(response.outputs):
        came = f"{len(response.outputs)} outputs came with {len(response.raw_output_contents)} raw contents"
        raise BadAnswer(came, code="INTERNAL", model=model)
    arrays = {}
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        try:
            arrays[output.name] = from_raw(raw, output.datatype, output.shape)
        except ValueError as error:
            raise BadAnswer(f"output {output.name!r}: {error}", code="INTERNAL", model=model) from error
    return arrays
