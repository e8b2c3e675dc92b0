"""ggml: the kernels of llama.cpp for Metal, Vulkan and CPUs, as a plugin."""

from typing import TYPE_CHECKING, Literal

from ortolan_backends.contract import Backend, Probe
from ortolan_backends.options import ProviderOptions, encode, option
from ortolan_backends.plugin_backend import attach_plugin, probe_plugin
from ortolan_backends.runtime.plugins import Plugin

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "GgmlBackend", "GgmlOptions"]

# It answers to any name; its own package registers it as "ggml".
_PLUGIN = Plugin("GgmlExecutionProvider", ("onnxruntime-ggml",), "onnxruntime_ggml")
_MAX_THREADS = 1024


class GgmlOptions(ProviderOptions):
    """The options of onnxruntime-ggml 0.2; it ignores what it does not know."""

    device: Literal["auto", "gpu", "cpu"] = option(
        "auto",
        key="device",
        doc="Where it computes; auto takes a GPU where Metal or Vulkan shows one.",
    )
    threads: int = option(
        1,
        key="threads",
        ge=1,
        le=_MAX_THREADS,
        doc="Threads of its CPU kernels.",
    )
    partial: bool = option(
        False,
        key="partial",
        doc="Takes the parts of a model that it has kernels for; false takes the whole model or nothing.",
    )


class GgmlBackend:
    """ggml's compiled subgraphs."""

    name: str = "ggml"
    provider: str = _PLUGIN.provider
    summary: str = "Runs models that ggml has all kernels for, on Metal, Vulkan or the CPU, beside the plain wheel."
    compiles: bool = True
    options: type[ProviderOptions] = GgmlOptions

    def probe(self) -> Probe:
        return probe_plugin(self.name, _PLUGIN, device_mend="pip install --force-reinstall onnxruntime-ggml")

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        settings = encode(options)
        attach_plugin(session_options, _PLUGIN, settings)
        # ONNX Runtime hands a plugin's options on by its name in small letters, and ggml looks for them by the name it
        # was registered under: without this it would see none.
        for key, text in settings.items():
            session_options.add_session_config_entry(f"ep.{self.provider}.{key}", text)


BACKEND: Backend = GgmlBackend()
