"""Real failures of ONNX Runtime, and texts read off hardware that is not here."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ortolan_backends.catalog import Catalog
from ortolan_backends.errors import (
    DeviceFailure,
    InvalidInput,
    OutOfMemory,
    RunCancelled,
    RunFailed,
    UnservableModel,
)
from ortolan_backends.options import parse_options
from ortolan_backends.runtime.failures import classify_run, plain
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_backends.runtime.model import read_model
from ortolan_backends.runtime.ort import onnxruntime
from ortolan_backends.runtime.session import OpenRung, RunHandle, Session, open_session
from tests import models


@pytest.fixture
def opened(tmp_path: Path, runtime_log: RuntimeLog) -> Session:
    cpu = Catalog.from_entry_points().get("cpu")
    model = read_model(models.save(models.add_one(), tmp_path))
    return open_session(model, [OpenRung(cpu, parse_options(cpu, {}))], runtime_log)[0]


def test_a_wrong_dtype_is_the_callers_fault(opened: Session) -> None:
    with pytest.raises(InvalidInput, match="Unexpected input data type"):
        opened.run({"x": np.zeros((1, 2), np.int64)}, ["y"], RunHandle())
    assert opened.run({"x": np.zeros((1, 2), np.float32)}, ["y"], RunHandle())[0].tolist() == [[1, 1]]


def test_a_missing_input_is_the_callers_fault(opened: Session) -> None:
    with pytest.raises(InvalidInput, match="x"):
        opened.run({}, ["y"], RunHandle())


def test_a_terminated_run_is_cancelled(opened: Session) -> None:
    handle = RunHandle()
    handle.terminate()
    with pytest.raises(RunCancelled):
        opened.run({"x": np.zeros((1, 2), np.float32)}, ["y"], handle)


def test_no_memory_is_told_from_other_failures(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    cpu = Catalog.from_entry_points().get("cpu")
    huge = models.model(
        [helper.make_node("Expand", ["x", "shape"], ["y"], name="expand")],
        [models.value("x", TensorProto.FLOAT, [1]), models.value("shape", TensorProto.INT64, [1])],
        [models.value("y", TensorProto.FLOAT, ["N"])],
    )
    session, _ = open_session(
        read_model(models.save(huge, tmp_path)), [OpenRung(cpu, parse_options(cpu, {}))], runtime_log
    )
    feeds: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {
        "x": np.zeros(1, np.float32),
        "shape": np.array([1 << 50], np.int64),
    }
    with pytest.raises(OutOfMemory):
        session.run(feeds, ["y"], RunHandle())


ORT = "/onnxruntime_src/onnxruntime/core"
# As 1.31.1 prints it, twice, before the error of a CUDA call.
CUDA_CALL = 2 * (
    f"{ORT}/providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, void, onnxruntime::common::Status> onnxruntime::"
    "CudaCall(ERRTYPE, const char*, const char*, SUCCTYPE, const char*, const char*, int) [with ERRTYPE = cudaError; "
    "bool THRW = true; SUCCTYPE = cudaError; std::conditional_t<THRW, void, common::Status> = void] "
)
CUDA_PLACE = f" ; GPU=0 ; hostname=vm ; file={ORT}/a.cc ; line=355 ; expr=cudaSetDevice(info_.device_id); \n\n"
CUDA_700 = f"{CUDA_CALL}CUDA failure 700: an illegal memory access was encountered{CUDA_PLACE}"
CUDA_100 = f"{CUDA_CALL}CUDA failure 100: no CUDA-capable device is detected{CUDA_PLACE}"
RUNNING = "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. Status Message: "
ARENA = (
    f"{ORT}/framework/bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, Stream*) "
    "Available memory of 0 is smaller than requested bytes"
)
NO_ADAPTER = (
    f"{ORT}/providers/webgpu/webgpu_context.cc:65 onnxruntime::webgpu::WebGpuContext::Initialize(const onnxruntime::"
    "webgpu::WebGpuContextConfig&)::<lambda()>::<lambda(wgpu::RequestAdapterStatus, wgpu::Adapter, wgpu::StringView, "
    "wgpu::Adapter*)> status == wgpu::RequestAdapterStatus::Success was false. Failed to get a WebGPU adapter"
)
BAD_LAYOUT = (
    f"{ORT}/providers/webgpu/webgpu_provider_factory.cc:49 onnxruntime::WebGpuExecutionProviderConfig onnxruntime::"
    "{anonymous}::ParseEpConfig(const onnxruntime::ConfigOptions&) Invalid preferred layout: BAD"
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (CUDA_700, DeviceFailure),
        (RUNNING + CUDA_700, DeviceFailure),
        (ARENA, OutOfMemory),
        ("CUDA failure 700: an illegal memory access was encountered ; GPU=0", DeviceFailure),
        ("CUDA failure 719: unspecified launch failure ; GPU=0", DeviceFailure),
        ("CUDA failure 999: unknown error ; GPU=0", DeviceFailure),
        ("CUDA failure 9: invalid configuration argument ; GPU=0", RunFailed),
        ("CUDA failure 70: no such code ; GPU=0", RunFailed),
        ("CUDA failure 701: too many resources requested for launch ; GPU=0", RunFailed),
        ("CUBLAS failure 14: CUBLAS_STATUS_INTERNAL_ERROR", DeviceFailure),
        ("CUBLAS failure 13: CUBLAS_STATUS_EXECUTION_FAILED ; GPU=0", DeviceFailure),
        ("CUBLAS failure 15: CUBLAS_STATUS_NOT_SUPPORTED ; GPU=0", RunFailed),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0", OutOfMemory),
        ("CUDNN failure 5001: CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER ; GPU=0", DeviceFailure),
        ("CUDNN failure 4000: CUDNN_STATUS_INTERNAL_ERROR ; GPU=0", DeviceFailure),
        ("CUDNN failure 4004: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0", OutOfMemory),
        ("CUDNN failure 2000: CUDNN_STATUS_BAD_PARAM ; GPU=0", RunFailed),
        ("CUDNN failure 3000: CUDNN_STATUS_NOT_SUPPORTED ; GPU=0", RunFailed),
        ("the GPU device was removed", DeviceFailure),
        ("BFCArena: Available memory of 0 is smaller than requested bytes; bfc_arena.cc:376", OutOfMemory),
        ("CUDA failure 2: out of memory ; GPU=0", OutOfMemory),
        ("Non-zero status code returned while running Reshape node", RunFailed),
    ],
)
def test_texts_without_a_type(text: str, kind: type[RunFailed]) -> None:
    assert type(classify_run(RuntimeError(text))) is kind


def test_a_failed_device_may_be_a_type_alone() -> None:
    state = onnxruntime.capi.onnxruntime_pybind11_state
    assert type(classify_run(state.EPFail("the provider gave up"))) is DeviceFailure


def test_a_model_s_text_that_is_no_unicode_is_not_the_callers_fault(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    cpu = Catalog.from_entry_points().get("cpu")
    proto = models.model(
        [helper.make_node("Gather", ["words", "x"], ["y"], name="gather")],
        [models.value("x", TensorProto.INT64, ["N"])],
        [models.value("y", TensorProto.STRING, ["N"])],
        [TensorProto(name="words", data_type=TensorProto.STRING, dims=[1], string_data=[b"\xff"])],
    )
    model = read_model(models.save(proto, tmp_path))
    session, _ = open_session(model, [OpenRung(cpu, parse_options(cpu, {}))], runtime_log)
    with pytest.raises(RunFailed) as caught:
        session.run({"x": np.zeros(1, np.int64)}, ["y"], RunHandle())
    assert type(caught.value) is RunFailed
    assert isinstance(caught.value.__cause__, UnicodeError)


def test_the_cause_is_unwrapped() -> None:
    wrapped = (
        "[ONNXRuntimeError] : 1 : FAIL : Exception during initialization: /a/basic_backend.cc:136 "
        "onnxruntime::openvino_ep::F(int&) [OpenVINO-EP] Exception while Loading Network: \n"
        "Exception from src/inference/src/dev/plugin.cpp:53:\n"
        "Check '!shape.rank().is_dynamic()' failed at src/node.cpp:106:\n"
        "Unexpected: dynamic rank\n\n"
    )
    assert plain(wrapped) == "Exception while Loading Network: Unexpected: dynamic rank"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (CUDA_100, "CUDA failure 100: no CUDA-capable device is detected, at cudaSetDevice(info_.device_id)"),
        (NO_ADAPTER, "Failed to get a WebGPU adapter"),
        (BAD_LAYOUT, "Invalid preferred layout: BAD"),
        ("the node '/model/a.conv/Conv' (1) wants /data/x.cc", "the node '/model/a.conv/Conv' (1) wants /data/x.cc"),
    ],
)
def test_places_and_signatures_are_left_out(text: str, cause: str) -> None:
    assert plain(text) == cause


def test_bfloat16_both_ways(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    cpu = Catalog.from_entry_points().get("cpu")
    proto = models.identity(TensorProto.BFLOAT16, ["N"])
    session, _ = open_session(
        read_model(models.save(proto, tmp_path)), [OpenRung(cpu, parse_options(cpu, {}))], runtime_log
    )
    bits = np.array([0x3F80, 0x4000, 0x7F80], np.uint16)
    assert session.run({"x": bits}, ["y"], RunHandle())[0].tolist() == bits.tolist()
    assert session.run({"x": bits[:0]}, ["y"], RunHandle())[0].shape == (0,)


def test_bfloat16_beside_strings(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    cpu = Catalog.from_entry_points().get("cpu")
    proto = models.model(
        [
            helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT, name="cast"),
            helper.make_node("Identity", ["s"], ["t"], name="same"),
        ],
        [models.value("x", TensorProto.BFLOAT16, ["N"]), models.value("s", TensorProto.STRING, ["N"])],
        [models.value("y", TensorProto.FLOAT, ["N"]), models.value("t", TensorProto.STRING, ["N"])],
    )
    model = read_model(models.save(proto, tmp_path))
    session, _ = open_session(model, [OpenRung(cpu, parse_options(cpu, {}))], runtime_log)
    feeds = {"x": np.array([0x3F80], np.uint16), "s": np.array(["ü"], object)}
    y, t = session.run(feeds, ["y", "t"], RunHandle())
    assert (y.tolist(), t.tolist()) == ([1.0], ["ü"])


def test_an_unknown_rank_is_not_a_scalar(tmp_path: Path, runtime_log: RuntimeLog) -> None:
    cpu = Catalog.from_entry_points().get("cpu")
    shapes = {}
    ranks: tuple[list[int] | None, ...] = ([], None)
    for shape in ranks:
        proto: onnx.ModelProto = models.identity(TensorProto.FLOAT, shape)
        path = models.save(proto, tmp_path / str(shape))
        session, _ = open_session(read_model(path), [OpenRung(cpu, parse_options(cpu, {}))], runtime_log)
        shapes[str(shape)] = session.inputs[0].shape
    assert shapes == {"[]": (), "None": None}


@pytest.mark.provider
@pytest.mark.parametrize(("newer", "told"), [("ir", r"IR version 99"), ("opset", r"opset 99 of ai\.onnx")])
def test_a_model_that_is_newer_than_onnx_runtime(
    newer: str, told: str, tmp_path: Path, runtime_log: RuntimeLog
) -> None:
    cpu = Catalog.from_entry_points().get("cpu")
    proto = models.add_one()
    if newer == "ir":
        proto.ir_version = 99
    else:
        proto.opset_import[0].version = 99
    model = read_model(models.save(proto, tmp_path))
    with pytest.raises(UnservableModel) as raised:
        open_session(model, [OpenRung(cpu, parse_options(cpu, {}))], runtime_log)
    wanted = rf"the model is of {told}; this ONNX Runtime {onnxruntime.__version__} reads those up to \d+"
    assert re.fullmatch(wanted, raised.value.reason)
