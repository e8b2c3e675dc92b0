"""Inference messages and their bytes."""

from ortolan_server.codec.names import read_names
from ortolan_server.codec.placed import write_placed_response
from ortolan_server.codec.requests import InferRequest, read_request, reads_quickly
from ortolan_server.codec.responses import stream_answer, stream_error, write_response

__all__ = [
    "InferRequest",
    "read_names",
    "read_request",
    "reads_quickly",
    "stream_answer",
    "stream_error",
    "write_placed_response",
    "write_response",
]
