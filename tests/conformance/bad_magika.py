"""Bad requests to a real model: magika, whose bytes are INT32[N,2048]."""

import numpy as np

from ortolan.inference import inference_pb2 as pb
from tests.conformance.sending import BadRequest, in_stream, infer, request
from tests.conformance.wire import IN_BAND

__all__ = ["TABLE", "WIDTH"]

INVALID = "INVALID_ARGUMENT"
WIDTH = 2048


def _bytes(shape: list[int], values: object, datatype: str = "INT32", dtype: str = "int32") -> pb.ModelInferRequest:
    return request("magika", [("bytes", datatype, shape)], [np.asarray(values, dtype).tobytes()])


_ROW = [0] * WIDTH

TABLE = (
    BadRequest("magika: one byte too few", infer(_bytes([1, WIDTH - 1], _ROW[1:])), INVALID, "dimension 1 is 2047"),
    BadRequest("magika: no batch", infer(_bytes([WIDTH], _ROW)), INVALID, "of rank 1; wanted .* of rank 2"),
    BadRequest("magika: wider numbers", infer(_bytes([1, WIDTH], _ROW, "INT64", "int64")), INVALID, "wanted INT32"),
    BadRequest(
        "magika: data of half a batch", infer(_bytes([2, WIDTH], _ROW)), INVALID, "8192 bytes of data; wanted 16384"
    ),
    BadRequest("magika: a batch of 2^40", infer(_bytes([2**40, WIDTH], _ROW)), INVALID, "8192 bytes of data; wanted"),
    BadRequest("magika: a batch below zero", infer(_bytes([-1, WIDTH], _ROW)), INVALID, "negative dimension"),
    BadRequest("magika: in a stream", in_stream(_bytes([1, 1], [0])), IN_BAND, "dimension 1 is 1, not 2048"),
)
