"""QNN: Qualcomm's NPU and GPU, as a plugin."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator

from ortolan_backends.contract import Backend, Probe
from ortolan_backends.options import ProviderOptions, encode, option
from ortolan_backends.plugin_backend import attach_plugin, probe_plugin
from ortolan_backends.runtime.plugins import Plugin

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "QnnBackend", "QnnOptions"]

_PLUGIN = Plugin("QNNExecutionProvider", ("onnxruntime-qnn",), "onnxruntime_providers_qnn")
_MAX_MIB = 1024


class QnnOptions(ProviderOptions):
    """The options of onnxruntime-qnn 2.7. `backend_path` is not among them: it loads code."""

    backend_type: Literal["htp", "gpu", "cpu"] = option(
        "htp",
        key="backend_type",
        doc="The part of the chip: htp is the NPU, which wants quantised models with static shapes; cpu is QNN's slow "
        "reference.",
    )
    htp_performance_mode: Literal[
        "default",
        "burst",
        "balanced",
        "high_performance",
        "high_power_saver",
        "low_balanced",
        "low_power_saver",
        "power_saver",
        "extreme_power_saver",
        "sustained_high_performance",
    ] = option(
        "default",
        key="htp_performance_mode",
        doc="How the NPU trades power for speed; burst is the quickest.",
    )
    soc_model: int = option(
        0,
        key="soc_model",
        ge=0,
        doc="The chip's number in Qualcomm's documentation; 0 lets QNN find it out.",
    )
    htp_arch: Literal["0", "68", "69", "73", "75", "79", "81"] = option(
        "0",
        key="htp_arch",
        doc="The least NPU architecture that compiled graphs must run on; 0 is that of this chip.",
    )
    vtcm_mb: int = option(
        0,
        key="vtcm_mb",
        unit="MiB",
        ge=0,
        le=_MAX_MIB,
        doc="The NPU's tightly coupled memory that a graph may take; 0 leaves it to QNN.",
    )
    fp16: bool | None = option(
        None,
        key="enable_htp_fp16_precision",
        doc="Computes FP32 models in FP16 on the NPU; true needs soc_model. Without it QNN chooses for the chip.",
    )
    graph_optimization: int = option(
        0,
        key="htp_graph_finalization_optimization_mode",
        ge=0,
        le=3,
        doc="How much time the compiler spends on a better graph; 3 is the most.",
    )
    context_priority: Literal["low", "normal", "normal_high", "high"] = option(
        "normal",
        key="qnn_context_priority",
        doc="Which of several models on the NPU goes first.",
    )
    offload_graph_io_quantization: bool = option(
        True,
        key="offload_graph_io_quantization",
        doc="Leaves the quantisation of inputs and the dequantisation of outputs to another provider, usually the CPU.",
    )
    spill_fill_buffer: bool = option(
        False,
        key="enable_htp_spill_fill_buffer",
        doc="Shares one spill buffer among the graphs of a model, which saves memory.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.fp16 and not self.soc_model:
            raise ValueError("fp16 = true needs soc_model, the chip's number")
        return self


class QnnBackend:
    """QNN's compiled subgraphs."""

    name: str = "qnn"
    provider: str = _PLUGIN.provider
    summary: str = "Compiles quantised models with static shapes for the NPU of a Qualcomm chip."
    compiles: bool = True
    options: type[ProviderOptions] = QnnOptions

    def probe(self) -> Probe:
        mend = (
            "run on a machine with a Qualcomm chip and its NPU driver (libcdsprpc.so); a container must see its devices"
        )
        return probe_plugin(self.name, _PLUGIN, device_mend=mend)

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        # Without it QNN takes that of its first device, and has none for a CPU.
        settings = {"backend_type": "htp"} | encode(options)
        wanted = {"htp": "npu"}.get(settings["backend_type"], settings["backend_type"])

        def choose(offered: Sequence[Any]) -> Sequence[Any]:
            """The device of the backend that was asked for; what it offers differs with the system."""
            fitting = [device for device in offered if str(device.device.type).rpartition(".")[2].lower() == wanted]
            return fitting or offered

        attach_plugin(session_options, _PLUGIN, settings, choose)


BACKEND: Backend = QnnBackend()
