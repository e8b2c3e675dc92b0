"""tritonclient.grpc as it is: loads with a configuration and files, of a server with --model-control explicit."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import tritonclient.grpc as triton

from tests import models
from tests.conformance.expecting import expect, expect_array
from tests.conformance.triton_calls import CLIENT, fails, tensor

__all__ = ["CALLS", "CLIENT"]

ON_CPU = {"backend": "onnxruntime", "instance_group": [{"kind": "KIND_CPU", "count": 1}]}
X = np.ones((1, 2), np.float32)


def _with_client(use: Callable[[Any], None]) -> Callable[[str], None]:
    def call(address: str) -> None:
        with triton.InferenceServerClient(address) as client:
            use(client)

    call.__name__ = use.__name__
    return call


def _answer(client: Any, model: str) -> Any:
    return client.infer(model, [tensor("x", "FP32", X)]).as_numpy("y")


def load_with_a_configuration(client: Any) -> None:
    batching = {"max_batch_size": 8, "dynamic_batching": {"max_queue_delay_microseconds": 500}}
    client.load_model("add_one", config=json.dumps({**ON_CPU, **batching}))
    config = client.get_model_config("add_one", as_json=True)["config"]
    expect((config["max_batch_size"], config["dynamic_batching"]["max_queue_delay_microseconds"]), (8, "500"))
    expect_array(_answer(client, "add_one"), X + 1)
    client.load_model("add_one")
    expect("dynamic_batching" in client.get_model_config("add_one", as_json=True)["config"], False)


def load_with_files(client: Any) -> None:
    content = models.add_one().SerializeToString()
    client.load_model("sent", config=json.dumps(ON_CPU), files={"file:2/model.onnx": content})
    expect(list(client.get_model_metadata("sent").versions), ["2"])
    expect_array(_answer(client, "sent"), X + 1)
    with fails("StatusCode.FAILED_PRECONDITION", "not a readable ONNX model"):
        client.load_model("sent", config=json.dumps(ON_CPU), files={"file:2/model.onnx": content[:-1]})
    with fails("StatusCode.INVALID_ARGUMENT", "has '..'; it must stay in the model's folder"):
        client.load_model("sent", config=json.dumps(ON_CPU), files={"file:../model.onnx": content})
    with fails("StatusCode.INVALID_ARGUMENT", "needs the parameter 'config' beside it"):
        client.load_model("sent", files={"file:2/model.onnx": content})
    expect_array(_answer(client, "sent"), X + 1)
    client.unload_model("sent")
    expect(client.is_model_ready("sent"), False)


CALLS = tuple(_with_client(call) for call in (load_with_a_configuration, load_with_files))
