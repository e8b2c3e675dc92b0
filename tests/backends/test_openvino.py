"""OpenVINO's options and devices."""

import json
from collections.abc import Mapping

import pytest

from ortolan_backends.contract import Availability
from ortolan_backends.errors import InvalidOption, OpenRefused
from ortolan_backends.openvino import BACKEND
from ortolan_backends.options import encode, parse_options
from ortolan_backends.runtime.ort import onnxruntime

ON_OPENVINO = pytest.mark.wheel("onnxruntime-openvino")


def test_options_reach_onnx_runtime_in_its_spelling() -> None:
    config = {"CPU": {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_NUM_THREADS": 2, "ENABLE_HYPER_THREADING": False}}
    encoded = encode(
        parse_options(
            BACKEND,
            {"device_type": "AUTO:GPU.1,CPU", "threads": 4, "disable_dynamic_shapes": True, "load_config": config},
        )
    )
    assert json.loads(encoded.pop("load_config")) == config
    assert encoded == {"device_type": "AUTO:GPU.1,CPU", "num_of_threads": "4", "disable_dynamic_shapes": "True"}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"device_type": "BAD"}, "takes a text: CPU, GPU, GPU.<n>, NPU, AUTO, or"),
        ({"device_type": "cpu"}, "is refused"),
        ({"device_type": "AUTO:"}, "is refused"),
        ({"device_type": "AUTO:BAD,CPU"}, "is refused"),
        ({"device_type": "CPU_FP32"}, "is refused"),
        ({"device_type": "CPU\n"}, "is refused"),
        ({"precision": "FP16", "device_type": "CPU"}, "does not go with .* takes FP32 or ACCURACY"),
        ({"precision": "FP16"}, "does not go with"),
        ({"precision": "FP32", "device_type": "NPU"}, "does not go with .* takes FP16 or ACCURACY"),
        ({"streams": 9}, "streams = 9 is refused: it takes an integer: 1 to 8"),
        ({"num_of_threads": 2}, "did you mean threads"),
        ({"reshape_input": "x"}, "is refused"),
        ({"layout": "NCHW"}, "is refused"),
        ({"load_config": {"TPU": {}}}, "TPU is no device"),
        ({"load_config": {"GPU": {"CONFIG_FILE": "kernels.xml"}}}, "GPU.CONFIG_FILE: CONFIG_FILE cannot be set"),
        ({"load_config": {"AUTO": {"DEVICE_PROPERTIES": "{GPU:{CONFIG_FILE:kernels.xml}}"}}}, "CONFIG_FILE cannot"),
        ({"load_config": {"HETERO": {"DEVICE_PROPERTIES": "{GPU:{CONFIG_ FILE:kernels.xml}}"}}}, "CONFIG_FILE cannot"),
        ({"load_config": {"AUTO": {"DEVICE_PROPERTIES": {"GPU": {"CONFIG_FILE": "k.xml"}}}}}, "CONFIG_FILE cannot"),
        ({"load_config": {"CPU": {"AFFINITIES": [1]}}}, "CPU.AFFINITIES is no boolean, number or text"),
        ({"load_config": {"CPU": 1}}, r"load_config\.CPU = 1 is refused"),
        ({"context": 140_000}, "context cannot be set, since it takes a pointer"),
    ],
)
def test_what_onnx_runtime_would_take_or_drop_is_refused(mapping: Mapping[str, object], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        parse_options(BACKEND, mapping)


@pytest.mark.provider
@ON_OPENVINO
def test_its_devices_are_listed() -> None:
    probe = BACKEND.probe()
    assert probe.availability is Availability.AVAILABLE, probe.reason
    assert [device.id for device in probe.devices if device.kind == "cpu"] == ["CPU"]
    assert all(device.name for device in probe.devices)
    assert probe.versions["openvino"][:2] == "20"


@pytest.mark.provider
@ON_OPENVINO
@pytest.mark.parametrize("device_type", ["GPU.7", "HETERO:CPU,GPU.7"])
def test_a_device_that_is_not_here_is_refused(device_type: str) -> None:
    options = parse_options(BACKEND, {"device_type": device_type})
    with pytest.raises(OpenRefused, match=r"OpenVINO has no device GPU\.7 here; it has .*CPU") as caught:
        BACKEND.attach(onnxruntime.SessionOptions(), options)
    assert caught.value.stage == "attach"


@pytest.mark.provider
@ON_OPENVINO
@pytest.mark.parametrize(
    "mapping",
    [
        {"device_type": "CPU"},
        {"device_type": "AUTO"},
        {"device_type": "HETERO:CPU"},
        {"precision": "ACCURACY", "threads": 2, "streams": 2, "model_priority": "HIGH"},
        {"disable_dynamic_shapes": False, "enable_qdq_optimizer": True, "enable_opencl_throttling": False},
        {"load_config": {"CPU": {"PERFORMANCE_HINT": "LATENCY"}}},
        {"reshape_input": "x[1..4,3]", "layout": "x[NC]"},
    ],
)
def test_onnx_runtime_takes_what_we_encode(mapping: Mapping[str, object]) -> None:
    session_options = onnxruntime.SessionOptions()
    BACKEND.attach(session_options, parse_options(BACKEND, mapping))
    assert session_options.has_providers()
