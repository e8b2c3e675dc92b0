"""WebGPU: any GPU with Vulkan, Metal or Direct3D 12, as a plugin or compiled into a wheel of its own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ortolan_backends.contract import Backend, Probe
from ortolan_backends.options import ProviderOptions, Size, encode, option
from ortolan_backends.plugin_backend import attach_plugin
from ortolan_backends.runtime.plugins import Plugin, find_package
from ortolan_backends.webgpu_probe import probe_webgpu

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "WebGpuBackend", "WebGpuOptions"]

_PLUGIN = Plugin("WebGpuExecutionProvider", ("onnxruntime-ep-webgpu",), "onnxruntime_providers_webgpu")
_BUILT_IN_PREFIX = "ep.webgpuexecutionprovider."
_BufferCache = Literal["disabled", "lazyRelease", "simple", "bucket"]


class WebGpuOptions(ProviderOptions):
    """The options of WebGpuExecutionProvider. The plugin takes unknown ones without a word."""

    preferred_layout: Literal["NHWC", "NCHW"] = option(
        "NHWC",
        key="preferredLayout",
        doc="The layout of convolutions.",
    )
    graph_capture: bool = option(
        False,
        key="enableGraphCapture",
        doc="Captures the commands of a run and replays them: needs fixed shapes, and every node on WebGPU.",
    )
    backend: Literal["Vulkan", "D3D12"] | None = option(
        None,
        key="dawnBackendType",
        doc="The graphics interface below. Without it the system's own is taken.",
    )
    power_preference: Literal["high-performance", "low-power"] = option(
        "high-performance",
        key="powerPreference",
        doc="Which adapter is taken where there are several.",
    )
    validation_mode: Literal["disabled", "wgpuOnly", "basic", "full"] | None = option(
        None,
        key="validationMode",
        doc="How much is checked while it runs; basic is the default of release builds, disabled the quickest.",
    )
    storage_buffer_cache: _BufferCache | None = option(
        None,
        key="storageBufferCacheMode",
        doc="How the buffers of tensors are kept for later runs.",
    )
    max_storage_buffer: Size | None = option(
        None,
        key="maxStorageBufferBindingSize",
        unit="bytes",
        doc="The largest buffer that a kernel is given. Without it the adapter's limit holds.",
    )
    max_pending_dispatches: int | None = option(
        None,
        key="maxNumPendingDispatches",
        ge=1,
        le=4096,
        doc="Kernels that are collected before they are sent to the GPU.",
    )
    force_cpu_nodes: str | None = option(
        None,
        key="forceCpuNodeNames",
        pattern=r"^[^\x00]+$",
        allowed="names of nodes, one a line",
        doc="Nodes that are left to the CPU.",
    )


class WebGpuBackend:
    """WebGPU's kernels."""

    name: str = "webgpu"
    provider: str = _PLUGIN.provider
    summary: str = (
        "Runs on GPUs of any maker through Vulkan, Metal or Direct3D 12; copies to and from the CPU are real."
    )
    compiles: bool = False
    options: type[ProviderOptions] = WebGpuOptions

    def probe(self) -> Probe:
        return probe_webgpu(self, _PLUGIN)

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        """By the plugin where it is installed, else by what is compiled into the wheel."""
        if find_package(_PLUGIN) is None:
            # The options of `add_provider` are dropped without a word (seen in onnxruntime-webgpu 1.27.0).
            for key, value in encode(options).items():
                session_options.add_session_config_entry(f"{_BUILT_IN_PREFIX}{key}", value)
            session_options.add_provider(self.provider, {})
        else:
            attach_plugin(session_options, _PLUGIN, encode(options), _first)


def _first(offered: Sequence[Any]) -> Sequence[Any]:
    """It takes one device; which adapter that is, `power_preference` says."""
    return offered[:1]


BACKEND: Backend = WebGpuBackend()
