"""The options of every family in ONNX Runtime's spelling, and the combinations that it would take without a word."""

from collections.abc import Mapping

import pytest

from ortolan_backends.catalog import Catalog
from ortolan_backends.errors import InvalidOption
from ortolan_backends.options import encode, parse_options

CATALOG = Catalog.from_entry_points()
PROFILE = {
    "profile_min_shapes": {"images": [1, 3, 224, 224], "ids": [1]},
    "profile_opt_shapes": {"images": [4, 3, 224, 224], "ids": [8]},
    "profile_max_shapes": {"images": [8, 3, 512, 512], "ids": [64]},
}


@pytest.mark.parametrize(
    ("family", "mapping", "encoded"),
    [
        (
            "tensorrt",
            {"fp16": True, "workspace": "4GiB", "builder_level": 5, "auxiliary_streams": -1, "timing_cache": False},
            {
                "trt_fp16_enable": "True",
                "trt_max_workspace_size": "4294967296",
                "trt_builder_optimization_level": "5",
                "trt_auxiliary_streams": "-1",
                "trt_timing_cache_enable": "False",
            },
        ),
        (
            "tensorrt",
            PROFILE,
            {
                "trt_profile_min_shapes": "images:1x3x224x224,ids:1",
                "trt_profile_opt_shapes": "images:4x3x224x224,ids:8",
                "trt_profile_max_shapes": "images:8x3x512x512,ids:64",
            },
        ),
        (
            "tensorrt",
            {"engine_cache": True, "engine_cache_path": "/var/cache/trt", "context_memory_sharing": True},
            {
                "trt_engine_cache_enable": "True",
                "trt_engine_cache_path": "/var/cache/trt",
                "trt_context_memory_sharing_enable": "True",
            },
        ),
        (
            "tensorrt_rtx",
            {**PROFILE, "cuda_graph": True, "weight_streaming": "2GiB"},
            {
                "nv_profile_min_shapes": "images:1x3x224x224,ids:1",
                "nv_profile_opt_shapes": "images:4x3x224x224,ids:8",
                "nv_profile_max_shapes": "images:8x3x512x512,ids:64",
                "enable_cuda_graph": "1",
                "nv_weight_streaming_budget": "2147483648",
            },
        ),
        (
            "coreml",
            {
                "model_format": "MLProgram",
                "compute_units": "CPUAndGPU",
                "require_static_shapes": True,
                "cache_dir": "c",
            },
            {
                "ModelFormat": "MLProgram",
                "MLComputeUnits": "CPUAndGPU",
                "RequireStaticInputShapes": "1",
                "ModelCacheDirectory": "c",
            },
        ),
        (
            "nnapi",
            {"fp16": True, "nchw": False, "partitioning_stop_ops": "Loop,NonMaxSuppression"},
            {"USE_FP16": "1", "USE_NCHW": "0", "ep.nnapi.partitioning_stop_ops": "Loop,NonMaxSuppression"},
        ),
        (
            "webgpu",
            {"preferred_layout": "NCHW", "graph_capture": True, "backend": "Vulkan", "max_storage_buffer": "128MiB"},
            {
                "preferredLayout": "NCHW",
                "enableGraphCapture": "1",
                "dawnBackendType": "Vulkan",
                "maxStorageBufferBindingSize": "134217728",
            },
        ),
        (
            "qnn",
            {"backend_type": "htp", "htp_performance_mode": "burst", "fp16": True, "soc_model": 60, "vtcm_mb": 8},
            {
                "backend_type": "htp",
                "htp_performance_mode": "burst",
                "enable_htp_fp16_precision": "1",
                "soc_model": "60",
                "vtcm_mb": "8",
            },
        ),
        (
            "migraphx",
            {"device_id": 1, "fp16": True, "memory_limit": "1GiB", "cache_dir": "/var/cache/mx"},
            {
                "device_id": "1",
                "migraphx_fp16_enable": "True",
                "migraphx_mem_limit": "1073741824",
                "migraphx_model_cache_dir": "/var/cache/mx",
            },
        ),
        (
            "directml",
            {"performance_preference": "high_performance", "device_filter": "npu", "disable_metacommands": True},
            {
                "performance_preference": "high_performance",
                "device_filter": "npu",
                "disable_metacommands": "True",
            },
        ),
        ("xnnpack", {"threads": 4}, {"intra_op_num_threads": "4"}),
        (
            "ggml",
            {"device": "cpu", "threads": 2, "partial": True},
            {"device": "cpu", "threads": "2", "partial": "1"},
        ),
    ],
)
def test_options_reach_onnx_runtime_in_its_spelling(
    family: str, mapping: Mapping[str, object], encoded: Mapping[str, str]
) -> None:
    assert encode(parse_options(CATALOG.get(family), mapping)) == encoded


@pytest.mark.parametrize("family", ["tensorrt", "tensorrt_rtx"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"profile_opt_shapes": None}, "profile_opt_shapes missing"),
        ({"profile_min_shapes": None, "profile_max_shapes": None}, "profile_min_shapes and profile_max_shapes missing"),
        ({"profile_max_shapes": {"images": [8, 3, 512, 512]}}, "must have ids with the same number of dimensions"),
        ({"profile_min_shapes": {"images": [1, 3, 224], "ids": [1]}}, "must have images with the same number of dim"),
        ({"profile_opt_shapes": {"images": [9, 3, 224, 224], "ids": [8]}}, "profile of images must have min <= opt <="),
        ({"profile_min_shapes": {"images": "1x3"}}, "images: a shape is a list of sizes"),
        ({"profile_min_shapes": {"images": [-1, 3]}}, "images: a shape is a list of sizes"),
        ({"profile_min_shapes": {"images": [True]}}, "images: a shape is a list of sizes"),
        ({"profile_min_shapes": {"images": []}}, "images: a shape is a list of sizes"),
        ({"profile_min_shapes": {"x:0": [1]}}, "an input called 'x:0' cannot be written"),
        ({"profile_min_shapes": {}}, "it takes a table: shapes by input"),
        ({"profile_min_shapes": "images:1x3"}, "it takes a table: shapes by input"),
    ],
)
def test_half_a_profile_is_refused(family: str, changes: Mapping[str, object], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        parse_options(CATALOG.get(family), {**PROFILE, **changes})


@pytest.mark.parametrize(
    ("family", "mapping", "message"),
    [
        ("tensorrt", {"builder_level": 6}, "builder_level = 6 is refused: it takes an integer: 0 to 5"),
        ("tensorrt", {"engine_cache_path": "c"}, "engine_cache_path has no effect without engine_cache = true"),
        ("tensorrt", {"force_timing_cache": True}, "force_timing_cache has no effect without timing_cache = true"),
        ("tensorrt", {"int8_calibration_table": "t"}, "int8_calibration_table has no effect without int8 = true"),
        ("tensorrt", {"trt_fp16_enable": True}, "did you mean fp16"),
        ("tensorrt", {"trt_extra_plugin_lib_paths": "x.so"}, "cannot be set, since it loads code"),
        ("tensorrt_rtx", {"target_sm": 80}, "target_sm = 80 is refused"),
        ("coreml", {"compute_units": "GPU"}, "takes a text: ALL, CPUAndNeuralEngine, CPUAndGPU or CPUOnly"),
        ("nnapi", {"cpu_disabled": True, "cpu_only": True}, "cpu_disabled and cpu_only exclude each other"),
        ("webgpu", {"webgpuDevice": "1"}, "webgpuDevice cannot be set, since it takes a pointer"),
        ("webgpu", {"max_pending_dispatches": 4097}, "it takes an integer: 1 to 4096"),
        ("qnn", {"backend_path": "libQnnHtp.so"}, "backend_path cannot be set, since it loads code"),
        ("qnn", {"fp16": True}, "fp16 = true needs soc_model"),
        ("migraphx", {"int8_calibration_table": "t"}, "no effect without int8 = true"),
        ("directml", {"device_id": 0, "device_filter": "npu"}, "device_filter has no effect with device_id"),
        ("xnnpack", {"threads": 0}, "threads = 0 is refused"),
        ("ggml", {"device": "tpu"}, "takes a text: auto, gpu or cpu"),
    ],
)
def test_what_does_not_fit_is_refused(family: str, mapping: Mapping[str, object], message: str) -> None:
    with pytest.raises(InvalidOption, match=message):
        parse_options(CATALOG.get(family), mapping)
