"""Requests, and answers that are right or wrong."""

import numpy as np
import pytest

from benchmarks.samples import SAMPLES, WrongAnswer, check_answer
from ortolan.inference import inference_pb2

RIGHT = np.asarray([[1.0, 2.0]], np.float32)


def answer(
    values: list[float], shape: tuple[int, ...] = (1, 2), *, outputs: int = 1
) -> inference_pb2.ModelInferResponse:
    response = inference_pb2.ModelInferResponse(model_name="m")
    for _ in range(outputs):
        response.outputs.add(name="y", datatype="FP32", shape=shape)
    response.raw_output_contents.append(np.asarray(values, np.float32).tobytes())
    return response


def test_raw_values_are_checked() -> None:
    check_answer(answer([1.0, 2.0]).SerializeToString(), RIGHT)
    with pytest.raises(WrongAnswer, match="off by up to 0.5"):
        check_answer(answer([1.0, 2.5]).SerializeToString(), RIGHT)


def test_listed_values_are_checked() -> None:
    response = inference_pb2.ModelInferResponse()
    response.outputs.add(name="y", datatype="FP32", shape=(1, 2)).contents.fp32_contents.extend([1.0, 2.0])
    check_answer(response.SerializeToString(), RIGHT)


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (answer([1.0, 2.0], (2, 1)), "an output of shape"),
        (answer([1.0], (1, 2)), "1 values"),
        (answer([1.0, 2.0], outputs=2), "2 outputs"),
        (answer([], outputs=0), "0 outputs"),
    ],
)
def test_other_answers_are_wrong(response: inference_pb2.ModelInferResponse, words: str) -> None:
    with pytest.raises(WrongAnswer, match=words):
        check_answer(response.SerializeToString(), RIGHT)


def test_a_request_carries_its_tensors_raw() -> None:
    (sample,) = SAMPLES["tiny-64"]
    request = inference_pb2.ModelInferRequest.FromString(sample.request())
    assert (request.model_name, list(request.inputs[0].shape)) == ("tiny", [64, 12])
    assert request.raw_input_contents[0] == sample.inputs["x"].tobytes()


def test_texts_are_of_many_lengths() -> None:
    lengths = [sample.inputs["ids"].shape[1] for sample in SAMPLES["texts"]]
    assert len(set(lengths)) == len(lengths) == 8
