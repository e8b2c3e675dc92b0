"""TensorRT: compiled engines for NVIDIA GPUs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import model_validator

from ortolan_backends.caching import device_by_number, placed_by_its_options, with_options
from ortolan_backends.contract import Backend, Device, NotCached, Probe
from ortolan_backends.options import ProviderOptions, Size, encode, option
from ortolan_backends.runtime.preload import preload_tensorrt
from ortolan_backends.shapes import PROFILE_FORM, ProfileShapes, check_profile
from ortolan_backends.tensorrt_probe import probe_tensorrt

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "NEEDED_OPTIONS", "TensorRtBackend", "TensorRtOptions"]

_PROVIDER = "TensorrtExecutionProvider"
_PATH = r"^[^\x00]+$"
_MAX_INT = (1 << 31) - 1
NEEDED_OPTIONS: Mapping[str, str] = {
    "int8_calibration_table": "int8",
    "int8_native_calibration_table": "int8",
    "engine_cache_path": "engine_cache",
    "engine_cache_prefix": "engine_cache",
    "timing_cache_path": "timing_cache",
    "force_timing_cache": "timing_cache",
}
"""Each does nothing without the other."""


class TensorRtOptions(ProviderOptions):
    """The options of TensorrtExecutionProvider. Those that load plugins or a decryption library are not among them."""

    true_word: ClassVar[str] = "True"
    false_word: ClassVar[str] = "False"

    device_id: int = option(0, key="device_id", ge=0, le=255, doc="The GPU, as CUDA numbers them for this process.")
    workspace: Size = option(
        0,
        key="trt_max_workspace_size",
        unit="bytes",
        doc="The most scratch memory that an engine may take; 0 is all of the GPU's. More lets faster kernels in.",
    )
    fp16: bool = option(False, key="trt_fp16_enable", doc="Lets layers compute in FP16: faster, less accurate.")
    bf16: bool = option(False, key="trt_bf16_enable", doc="Lets layers compute in BF16; needs compute capability 8.0.")
    int8: bool = option(
        False,
        key="trt_int8_enable",
        doc="Lets layers compute in INT8; a model without quantisation nodes needs a calibration table too.",
    )
    int8_calibration_table: str | None = option(
        None,
        key="trt_int8_calibration_table_name",
        pattern=_PATH,
        allowed="the name of a file in the engine cache's folder",
        doc="The calibration table of a model without quantisation nodes.",
    )
    int8_native_calibration_table: bool = option(
        False,
        key="trt_int8_use_native_calibration_table",
        doc="Whether the calibration table is TensorRT's own, and not ONNX Runtime's.",
    )
    layer_norm_fp32: bool = option(
        False,
        key="trt_layer_norm_fp32_fallback",
        doc="Keeps layer normalisation in FP32 where the rest is FP16.",
    )
    min_subgraph_size: int = option(
        1,
        key="trt_min_subgraph_size",
        ge=1,
        le=_MAX_INT,
        doc="Smaller pieces of the graph are left to the next provider.",
    )
    max_partition_iterations: int = option(
        1000,
        key="trt_max_partition_iterations",
        ge=1,
        le=_MAX_INT,
        doc="How often the graph is cut anew until TensorRT takes every piece.",
    )
    engine_cache: bool = option(
        False,
        key="trt_engine_cache_enable",
        doc="Keeps built engines in a folder of your own, which you empty after a change of model, GPU, TensorRT or "
        "ONNX Runtime. Without it Ortolan's cache keeps them, and minds such changes.",
    )
    engine_cache_path: str | None = option(
        None,
        key="trt_engine_cache_path",
        pattern=_PATH,
        allowed="the path of a folder",
        doc="Where engines are kept; without it the working directory. Only this server should be able to write there.",
    )
    engine_cache_prefix: str | None = option(
        None,
        key="trt_engine_cache_prefix",
        pattern=r"^[\w.-]+$",
        allowed="letters, digits, '.', '_' and '-'",
        doc="How the names of kept engines begin; without it with the name of the provider and a hash of the model.",
    )
    engine_hardware_compatible: bool = option(
        False,
        key="trt_engine_hw_compatible",
        doc="Builds engines that run on all GPUs from Ampere on, somewhat slower.",
    )
    timing_cache: bool = option(
        False,
        key="trt_timing_cache_enable",
        doc="Keeps measured times of kernels, so that the next build is quicker.",
    )
    timing_cache_path: str | None = option(
        None,
        key="trt_timing_cache_path",
        pattern=_PATH,
        allowed="the path of a folder",
        doc="Where they are kept; without it the working directory.",
    )
    force_timing_cache: bool = option(
        False,
        key="trt_force_timing_cache",
        doc="Takes the times of another GPU of the same compute capability.",
    )
    builder_level: int = option(
        3,
        key="trt_builder_optimization_level",
        ge=0,
        le=5,
        doc="How long the builder looks for fast kernels; 5 is the longest.",
    )
    auxiliary_streams: int = option(
        -1,
        key="trt_auxiliary_streams",
        ge=-1,
        le=_MAX_INT,
        doc="Streams that an engine may use beside its own; -1 leaves it to TensorRT, 0 takes the least memory.",
    )
    sequential_build: bool = option(
        False,
        key="trt_force_sequential_engine_build",
        doc="Builds engines one after another where several GPUs are at work.",
    )
    sparsity: bool = option(False, key="trt_sparsity_enable", doc="Takes kernels for weights with 2:4 sparsity.")
    cuda_graph: bool = option(
        False,
        key="trt_cuda_graph_enable",
        doc="Captures the run as one CUDA graph and replays it: needs fixed shapes and one run at a time.",
    )
    context_memory_sharing: bool = option(
        False,
        key="trt_context_memory_sharing_enable",
        doc="Lets the engines of a model share their scratch memory.",
    )
    profile_min_shapes: ProfileShapes | None = option(
        None,
        key="trt_profile_min_shapes",
        allowed=PROFILE_FORM,
        doc="The smallest shapes of inputs whose sizes vary; an engine is built once for the whole range.",
    )
    profile_opt_shapes: ProfileShapes | None = option(
        None,
        key="trt_profile_opt_shapes",
        allowed=PROFILE_FORM,
        doc="The usual shapes, which the engine is tuned for.",
    )
    profile_max_shapes: ProfileShapes | None = option(
        None,
        key="trt_profile_max_shapes",
        allowed=PROFILE_FORM,
        doc="The largest shapes. Beyond them the engine is built anew, while the request waits.",
    )
    exclude_operators: str | None = option(
        None,
        key="trt_op_types_to_exclude",
        pattern=r"^\w+(,\w+)*$",
        allowed="operator types, separated by commas",
        doc="Nodes of these types are left to the next provider.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        check_profile(self)
        for name, needed in NEEDED_OPTIONS.items():
            if getattr(self, name) and not getattr(self, needed):
                raise ValueError(f"{name} has no effect without {needed} = true")
        return self


class TensorRtBackend:
    """TensorRT's engines."""

    name: str = "tensorrt"
    provider: str = _PROVIDER
    summary: str = "The lowest latency on an NVIDIA GPU, for a build of minutes that is cached for each model and GPU."
    compiles: bool = True
    options: type[ProviderOptions] = TensorRtOptions

    def probe(self) -> Probe:
        return probe_tensorrt(_PROVIDER)

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        preload_tensorrt()
        session_options.add_provider(_PROVIDER, encode(options))

    def cache_in(self, options: ProviderOptions, folder: Path) -> ProviderOptions | NotCached:
        # A calibration table is looked up in the folder of the engines.
        own = placed_by_its_options(options, ("engine_cache", "timing_cache", "int8_calibration_table"))
        path = str(folder)
        return own or with_options(
            options, engine_cache=True, engine_cache_path=path, timing_cache=True, timing_cache_path=path
        )

    def compiles_for(self, options: ProviderOptions, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        return device_by_number(devices, getattr(options, "device_id", 0))

    def writes_while_running(self, _options: ProviderOptions) -> bool:
        return True  # an engine for each new range of shapes


BACKEND: Backend = TensorRtBackend()
