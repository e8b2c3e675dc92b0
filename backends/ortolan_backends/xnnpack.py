"""XNNPACK: kernels for the CPUs of small devices."""

import platform
from typing import TYPE_CHECKING

from ortolan_backends.contract import Backend, Device, Probe
from ortolan_backends.options import ProviderOptions, encode, option
from ortolan_backends.platforms import probe_built_in

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "XnnpackBackend", "XnnpackOptions"]

_PROVIDER = "XnnpackExecutionProvider"
_MAX_THREADS = 1024


class XnnpackOptions(ProviderOptions):
    """The only option of XnnpackExecutionProvider."""

    threads: int = option(
        1,
        key="intra_op_num_threads",
        ge=1,
        le=_MAX_THREADS,
        doc="Threads of XNNPACK's own pool. Give the rung cpu below it threads = 1, so that two pools do not fight for "
        "the cores.",
    )


class XnnpackBackend:
    """XNNPACK's kernels."""

    name: str = "xnnpack"
    provider: str = _PROVIDER
    summary: str = "Runs convolutions and matrix products of FP32 and quantised models on the CPUs of small devices."
    compiles: bool = False
    options: type[ProviderOptions] = XnnpackOptions

    def probe(self) -> Probe:
        install = "build ONNX Runtime with --use_xnnpack: no published wheel for servers has it"
        devices = (Device("cpu", "0", platform.processor() or platform.machine()),)
        return probe_built_in(self, install=install, session_mend="see ONNX Runtime's message", devices=devices)

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        session_options.add_provider(_PROVIDER, encode(options))


BACKEND: Backend = XnnpackBackend()
