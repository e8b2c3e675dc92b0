"""Options of ONNX Runtime that nobody may set."""

from collections.abc import Mapping

__all__ = ["FORBIDDEN_KEYS"]

_POINTER = "it takes a pointer"
_CODE = "it loads code"

FORBIDDEN_KEYS: Mapping[str, str] = {
    "backend_path": _CODE,
    "context": _POINTER,
    "dawnproctable": _POINTER,
    "gpu_external_alloc": _POINTER,
    "gpu_external_empty_cache": _POINTER,
    "gpu_external_free": _POINTER,
    "has_user_compute_stream": _POINTER,
    "migraphx_external_alloc": _POINTER,
    "migraphx_external_empty_cache": _POINTER,
    "migraphx_external_free": _POINTER,
    "nv_engine_decryption_lib_path": _CODE,
    "nv_external_data_bytestream": _POINTER,
    "nv_onnx_bytestream": _POINTER,
    "op_packages": _CODE,
    "qnn_ir_backend_path": _CODE,
    "qnn_saver_path": _CODE,
    "trt_engine_decryption_lib_path": _CODE,
    "trt_external_data_bytestream": _POINTER,
    "trt_extra_plugin_lib_paths": _CODE,
    "trt_onnx_bytestream": _POINTER,
    "user_compute_stream": _POINTER,
    "webgpudevice": _POINTER,
    "webgpuinstance": _POINTER,
}
"""ONNX Runtime's keys that no schema may have, and why. They would hand the process to whoever writes them."""
