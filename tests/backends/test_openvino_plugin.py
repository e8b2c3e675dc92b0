"""OpenVINO as a plugin: how its options are told to it, and what it keeps."""

import json
from pathlib import Path

import pytest

from ortolan_backends.contract import Availability, Device, NotCached
from ortolan_backends.errors import OpenRefused
from ortolan_backends.openvino import BACKEND
from ortolan_backends.openvino_cache import compiled_for, place_cache, writes_while_running
from ortolan_backends.openvino_plugin import plugin_settings
from ortolan_backends.options import encode, parse_options

FP32, BF16 = {"INFERENCE_PRECISION_HINT": "f32"}, {"INFERENCE_PRECISION_HINT": "bf16"}
CPU, GPU_0, GPU_1 = Device("cpu", "CPU", "a CPU"), Device("gpu", "GPU.0", "a GPU"), Device("gpu", "GPU.1", "another")


@pytest.mark.parametrize(
    ("mapping", "config"),
    [
        ({}, {"CPU": FP32}),
        ({"device_type": "GPU"}, None),
        ({"threads": 2, "streams": 4}, {"CPU": FP32 | {"INFERENCE_NUM_THREADS": "2", "NUM_STREAMS": "4"}}),
        ({"precision": "ACCURACY"}, {"CPU": {"EXECUTION_MODE_HINT": "ACCURACY"}}),
        ({"precision": "ACCURACY", "device_type": "GPU.1"}, {"GPU": {"EXECUTION_MODE_HINT": "ACCURACY"}}),
        ({"cache_dir": "/kept"}, {"CPU": FP32 | {"CACHE_DIR": "/kept"}}),
        (
            {"threads": 2, "load_config": {"CPU": {"INFERENCE_NUM_THREADS": 3}}},
            {"CPU": FP32 | {"INFERENCE_NUM_THREADS": 3}},
        ),
        ({"load_config": {"CPU": BF16}}, {"CPU": BF16}),
        ({"load_config": {"GPU": {"NUM_STREAMS": 1}}}, {"CPU": FP32, "GPU": {"NUM_STREAMS": 1}}),
    ],
)
def test_options_of_the_full_wheel_become_properties(
    mapping: dict[str, object], config: dict[str, object] | None
) -> None:
    settings = plugin_settings(encode(parse_options(BACKEND, mapping)))
    assert json.loads(settings.pop("load_config", "null")) == config
    assert settings == {}


def test_shapes_stay_options() -> None:
    options = {"device_type": "GPU", "reshape_input": "x[1,3]", "layout": "x[NC]"}
    settings = encode(parse_options(BACKEND, options))
    assert plugin_settings(settings) == {"reshape_input": "x[1,3]", "layout": "x[NC]"}


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ({"device_type": "AUTO"}, "takes one device, not AUTO; the full wheel takes several"),
        ({"device_type": "HETERO:GPU,CPU"}, "takes one device, not HETERO:GPU,CPU"),
        ({"disable_dynamic_shapes": True}, "has no option disable_dynamic_shapes"),
        ({"model_priority": "HIGH"}, "has no option model_priority"),
    ],
)
def test_what_the_plugin_would_ignore_is_refused(mapping: dict[str, object], told: str) -> None:
    with pytest.raises(OpenRefused, match=told) as caught:
        plugin_settings(encode(parse_options(BACKEND, mapping)))
    assert caught.value.stage == "attach"


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    (tmp_path / "libopenvino_ir_frontend.so.2641").touch()
    return tmp_path


def test_it_is_kept_where_it_can_be_loaded_again(libraries: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    without = tmp_path_factory.mktemp("without")
    for device, folder, kept in (
        ("CPU", libraries, True),
        ("CPU", without, False),
        ("CPU", None, False),
        ("GPU", without, True),
        ("GPU.1", without, True),
        ("NPU", without, True),
        ("AUTO", without, False),
        ("HETERO:GPU,CPU", without, False),
    ):
        placed = place_cache(parse_options(BACKEND, {"device_type": device}), Path("/kept"), folder)
        assert isinstance(placed, NotCached) is not kept, (device, folder)
        if isinstance(placed, NotCached):
            assert "no libopenvino_ir_frontend" in placed.reason
        else:
            assert encode(placed) == {"device_type": device, "cache_dir": "/kept"}


@pytest.mark.parametrize("mapping", [{"cache_dir": "/own"}, {"load_config": {"CPU": {"CACHE_DIR": "/own"}}}])
def test_its_own_options_go_first(libraries: Path, mapping: dict[str, object]) -> None:
    placed = place_cache(parse_options(BACKEND, mapping), Path("/kept"), libraries)
    assert isinstance(placed, NotCached)
    assert placed.by_choice


@pytest.mark.parametrize(
    ("device", "devices"),
    [("CPU", (CPU,)), ("GPU.1", (GPU_1,)), ("GPU", (GPU_0, GPU_1)), ("AUTO", (CPU, GPU_0, GPU_1))],
)
def test_it_depends_on_the_devices_that_it_names(device: str, devices: tuple[Device, ...]) -> None:
    assert compiled_for(parse_options(BACKEND, {"device_type": device}), (CPU, GPU_0, GPU_1)) == devices


def test_fixed_shapes_are_compiled_for_while_it_runs() -> None:
    assert not writes_while_running(parse_options(BACKEND, {}))
    assert writes_while_running(parse_options(BACKEND, {"disable_dynamic_shapes": True}))
    assert writes_while_running(parse_options(BACKEND, {"device_type": "AUTO:NPU,CPU"}))


@pytest.mark.provider
@pytest.mark.plugin("onnxruntime-ep-openvino")
def test_the_probe_finds_the_plugin_and_its_devices() -> None:
    probe = BACKEND.probe()
    if probe.availability is Availability.UNAVAILABLE and "offers no device" in probe.reason:
        pytest.skip(probe.reason)  # it has one for Intel's processors only
    assert probe.availability is Availability.AVAILABLE, probe.reason
    assert set(probe.versions) == {"onnxruntime", "plugin"}
