"""TensorRT for RTX: engines compiled on the machine that runs them, for NVIDIA's RTX GPUs, as a plugin."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from ortolan_backends.caching import device_by_number, placed_by_its_options, with_options
from ortolan_backends.checks import failed, ok
from ortolan_backends.contract import Backend, Check, Device, NotCached, Probe
from ortolan_backends.cuda_probe import judge_driver
from ortolan_backends.options import ProviderOptions, Size, encode, option
from ortolan_backends.plugin_backend import attach_plugin, probe_plugin
from ortolan_backends.runtime.cuda_driver import CudaDevice, look_at_driver
from ortolan_backends.runtime.plugins import Plugin, find_package
from ortolan_backends.shapes import PROFILE_FORM, ProfileShapes, check_profile

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "TensorRtRtxBackend", "TensorRtRtxOptions", "judge_capability"]

_PLUGIN = Plugin(
    "NvTensorRTRTXExecutionProvider",
    ("onnxruntime-ep-nv-tensorrt-rtx-cu13", "onnxruntime-ep-nv-tensorrt-rtx-cu12"),
    "onnxruntime_providers_nv_tensorrt_rtx",
    # They lie beside it, and nothing tells the linker so.
    preload=("libcudart", "libtensorrt_rtx", "libtensorrt_onnxparser_rtx"),
)
_SUPPORTED = ((8, 6), (8, 9))
_FIRST_OF_ALL = (12, 0)
_DEVICE_MEND = "`nvidia-smi` must list an RTX GPU; in a container see /sys/bus/pci/devices"
_MAX_INT = (1 << 31) - 1


class TensorRtRtxOptions(ProviderOptions):
    """The options of NvTensorRTRTXExecutionProvider, as its plugin 0.5 has them."""

    device_id: int = option(0, key="device_id", ge=0, le=255, doc="The GPU, as CUDA numbers them for this process.")
    workspace: Size = option(
        0,
        key="nv_max_workspace_size",
        unit="bytes",
        doc="The most scratch memory that an engine may take; 0 is all of the GPU's.",
    )
    runtime_cache_path: str | None = option(
        None,
        key="nv_runtime_cache_path",
        pattern=r"^[^\x00]+$",
        allowed="the path of a folder",
        doc="A folder of your own for compiled kernels. Without it Ortolan's cache keeps them.",
    )
    cuda_graph: bool = option(
        False,
        key="enable_cuda_graph",
        doc="Captures the run as one CUDA graph and replays it: needs fixed shapes and one run at a time.",
    )
    profile_min_shapes: ProfileShapes | None = option(
        None,
        key="nv_profile_min_shapes",
        allowed=PROFILE_FORM,
        doc="The smallest shapes of inputs whose sizes vary.",
    )
    profile_opt_shapes: ProfileShapes | None = option(
        None,
        key="nv_profile_opt_shapes",
        allowed=PROFILE_FORM,
        doc="The usual shapes, which the engine is tuned for.",
    )
    profile_max_shapes: ProfileShapes | None = option(
        None,
        key="nv_profile_max_shapes",
        allowed=PROFILE_FORM,
        doc="The largest shapes.",
    )
    weight_streaming: Size | None = option(
        None,
        key="nv_weight_streaming_budget",
        unit="bytes",
        doc="GPU memory for weights; the rest stays in the host's and is streamed. Without it all are on the GPU.",
    )
    auxiliary_streams: int = option(
        -1,
        key="nv_auxiliary_streams",
        ge=-1,
        le=_MAX_INT,
        doc="Streams that an engine may use beside its own; -1 leaves it to TensorRT.",
    )
    exclude_operators: str | None = option(
        None,
        key="nv_op_types_to_exclude",
        pattern=r"^\w+(,\w+)*$",
        allowed="operator types, separated by commas",
        doc="Nodes of these types are left to the next provider.",
    )
    sync_gpu_allocator: bool | None = option(
        None,
        key="nv_use_sync_gpu_allocator",
        doc="Allocates GPU memory with cudaMalloc instead of CUDA's pool, which is ordered by streams.",
    )
    target_sm: int | None = option(
        None,
        key="nv_target_sm",
        ge=86,
        le=999,
        doc="The compute capability to compile for, as 89 for 8.9. Without it that of the GPU.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        check_profile(self)
        return self


class TensorRtRtxBackend:
    """The engines of TensorRT for RTX."""

    name: str = "tensorrt_rtx"
    provider: str = _PLUGIN.provider
    summary: str = (
        "Compiles quickly on the machine itself, for GeForce RTX and RTX PRO GPUs; no datacentre GPU before 12.0."
    )
    compiles: bool = True
    options: type[ProviderOptions] = TensorRtRtxOptions

    def probe(self) -> Probe:
        return probe_plugin(self.name, _PLUGIN, device_mend=_DEVICE_MEND, before=_look_at_gpu)

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        settings = encode(options)
        number = int(settings.get("device_id", "0"))

        def choose(offered: Sequence[Any]) -> Sequence[Any]:
            """It takes one device."""
            return offered[number : number + 1]

        attach_plugin(session_options, _PLUGIN, settings, choose)

    def cache_in(self, options: ProviderOptions, folder: Path) -> ProviderOptions | NotCached:
        own = placed_by_its_options(options, ("runtime_cache_path",))
        return own or with_options(options, runtime_cache_path=str(folder))

    def compiles_for(self, options: ProviderOptions, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        return device_by_number(devices, getattr(options, "device_id", 0))

    def writes_while_running(self, _options: ProviderOptions) -> bool:
        return True  # when the session closes


def judge_capability(gpus: Sequence[CudaDevice]) -> Check:
    """Whether one of the GPUs is of a kind that the plugin takes; A100 and H100 are not."""
    fitting = [gpu for gpu in gpus if _is_supported(gpu)]
    listed = ", ".join(f"{gpu.name} ({gpu.compute_capability})" for gpu in fitting or gpus)
    if fitting:
        return ok("compute capability", listed)
    finding = f"TensorRT for RTX takes compute capability 8.6, 8.9, and 12.0 or newer, not {listed}"
    return failed("compute capability", finding, "use tensorrt or cuda on this GPU")


def _is_supported(gpu: CudaDevice) -> bool:
    major, _, minor = gpu.compute_capability.partition(".")
    capability = (int(major), int(minor or 0))
    return capability in _SUPPORTED or capability >= _FIRST_OF_ALL


def _look_at_gpu() -> tuple[Check, ...]:
    package = find_package(_PLUGIN)
    driver = look_at_driver()
    checks = judge_driver(driver, 12 if package and package.name.endswith("cu12") else 13)
    # What the plugin itself offers stands under "devices".
    checks = tuple(_renamed(check) for check in checks)
    return (*checks, judge_capability(driver.devices)) if driver.devices else checks


def _renamed(check: Check) -> Check:
    return Check("GPUs", check.outcome, check.finding, check.mend) if check.looked_at == "devices" else check


BACKEND: Backend = TensorRtRtxBackend()
