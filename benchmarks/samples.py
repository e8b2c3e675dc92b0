"""What is asked: inputs, the request that carries them, and the answer that must come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ortolan.inference import inference_pb2

__all__ = ["SAMPLES", "Sample", "WrongAnswer", "check_answer", "parse_answer"]

Array = NDArray[np.generic]

_DATATYPES = {"float32": "FP32", "int64": "INT64"}
_WORDS = 30522
_TEXT_LENGTHS = (8, 24, 96, 16, 128, 12, 48, 32)  # in turns: short and long ones mixed
# Batching and other kernels may change the last bits.
_RELATIVE, _ABSOLUTE = 1e-3, 1e-4


class WrongAnswer(Exception):
    """A server answered something else than ONNX Runtime does in process."""


@dataclass(frozen=True)
class Sample:
    """One request. `rows` is its batch size."""

    name: str
    model: str
    inputs: Mapping[str, Array] = field(repr=False)

    @property
    def rows(self) -> int:
        return int(next(iter(self.inputs.values())).shape[0])

    def request(self) -> bytes:
        """The serialized ModelInferRequest, the same for every server."""
        message = inference_pb2.ModelInferRequest(model_name=self.model)
        for name, array in self.inputs.items():
            message.inputs.add(name=name, datatype=_DATATYPES[array.dtype.name], shape=array.shape)
            message.raw_input_contents.append(array.tobytes())
        return message.SerializeToString()

    def write(self, folder: Path) -> Path:
        """The request in a file for the load generator."""
        path = folder / f"{self.name}.bin"
        if not path.exists():
            path.write_bytes(self.request())
        return path


def check_answer(answer: bytes, expected: NDArray[np.float32]) -> None:
    """Raises WrongAnswer unless the answer holds one tensor, equal to `expected` but for the last digits."""
    seen = parse_answer(answer)
    if seen.shape != expected.shape:
        raise WrongAnswer(f"an output of shape {list(seen.shape)} instead of {list(expected.shape)}")
    if not np.allclose(seen, expected, rtol=_RELATIVE, atol=_ABSOLUTE):
        furthest = float(np.max(np.abs(seen - expected)))
        raise WrongAnswer(f"values that are off by up to {furthest:.3g}")


def parse_answer(answer: bytes) -> NDArray[np.float32]:
    """The one FP32 tensor of a serialized ModelInferResponse, whether its values came raw or as a list."""
    message = inference_pb2.ModelInferResponse.FromString(answer)
    if len(message.outputs) != 1:
        raise WrongAnswer(f"{len(message.outputs)} outputs instead of one")
    output = message.outputs[0]
    if message.raw_output_contents:
        flat = np.frombuffer(message.raw_output_contents[0], np.float32)
    else:
        flat = np.asarray(output.contents.fp32_contents, np.float32)
    if flat.size != np.prod(output.shape):
        raise WrongAnswer(f"{flat.size} values in an output of shape {list(output.shape)}")
    return flat.reshape(output.shape)


def _floats(name: str, model: str, *shape: int) -> Sample:
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return Sample(name, model, {"x": values})


def _text(length: int) -> Sample:
    ids = np.random.default_rng(length).integers(0, _WORDS, (1, length))
    return Sample(f"text-{length}", "transformer", {"ids": ids, "mask": np.ones((1, length), np.int64)})


def _samples() -> Mapping[str, Sequence[Sample]]:
    return {
        "tiny-1": [_floats("tiny-1", "tiny", 1, 12)],
        "tiny-64": [_floats("tiny-64", "tiny", 64, 12)],
        "convnet-1": [_floats("convnet-1", "convnet", 1, 3, 224, 224)],
        "convnet-8": [_floats("convnet-8", "convnet", 8, 3, 224, 224)],
        "texts": [_text(length) for length in _TEXT_LENGTHS],
        "1mb": [_floats("1mb", "identity", 1, 2**20 // 4)],
        "16mb": [_floats("16mb", "identity", 1, 2**24 // 4)],
    }


SAMPLES = _samples()
"""What a flow sends, in turns, by name."""
