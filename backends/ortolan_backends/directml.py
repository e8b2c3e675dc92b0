"""DirectML: any GPU or NPU with a DirectX 12 driver, on Windows."""

import sys
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator

from ortolan_backends.checks import failed, ok
from ortolan_backends.contract import Backend, Check, Probe
from ortolan_backends.options import ProviderOptions, encode, option
from ortolan_backends.platforms import probe_built_in

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "DirectMlBackend", "DirectMlOptions", "judge_system"]

_PROVIDER = "DmlExecutionProvider"


class DirectMlOptions(ProviderOptions):
    """The options of DmlExecutionProvider."""

    true_word: ClassVar[str] = "True"
    false_word: ClassVar[str] = "False"

    device_id: int = option(0, key="device_id", ge=0, le=255, doc="The adapter, in the order that DXGI lists them.")
    performance_preference: Literal["default", "high_performance", "minimum_power"] = option(
        "default",
        key="performance_preference",
        doc="Which adapter is taken when device_id is not set.",
    )
    device_filter: Literal["gpu", "npu", "any"] = option(
        "gpu",
        key="device_filter",
        doc="Which kinds of adapter are looked at when device_id is not set.",
    )
    disable_metacommands: bool = option(
        False,
        key="disable_metacommands",
        doc="Takes DirectML's own shaders instead of the driver's kernels, to look for faults.",
    )
    enable_dynamic_graph_fusion: bool = option(
        False,
        key="enable_dynamic_graph_fusion",
        doc="Fuses graphs with dynamic shapes too, once their sizes are known.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """DirectML takes the adapter by its number, and the preferences without a word about them."""
        for name in ("performance_preference", "device_filter"):
            if {"device_id", name} <= self.model_fields_set:
                raise ValueError(f"{name} has no effect with device_id")
        return self


class DirectMlBackend:
    """DirectML's kernels."""

    name: str = "directml"
    provider: str = _PROVIDER
    summary: str = "Runs on any GPU with a DirectX 12 driver, on Windows; wants fixed shapes."
    compiles: bool = False
    options: type[ProviderOptions] = DirectMlOptions

    def probe(self) -> Probe:
        return probe_built_in(
            self,
            install="pip uninstall -y onnxruntime && pip install onnxruntime-directml",
            session_mend="see ONNX Runtime's message, or update the GPU's driver",
            system=lambda: judge_system(sys.platform),
        )

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        # DirectML plans memory itself, and runs one node after another.
        session_options.enable_mem_pattern = False
        session_options.execution_mode = type(session_options.execution_mode).ORT_SEQUENTIAL
        session_options.add_provider(_PROVIDER, encode(options))


def judge_system(system: str) -> tuple[Check, ...]:
    """From what `sys.platform` says."""
    if system != "win32":
        return (failed("system", f"DirectML needs Windows, and this is {system}", "run on Windows 10 or newer"),)
    return (ok("system", "Windows"),)


BACKEND: Backend = DirectMlBackend()
