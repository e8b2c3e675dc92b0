"""A third party's backend: it attaches ONNX Runtime's CPU provider, and takes options of its own."""

from typing import TYPE_CHECKING, Literal

from ortolan_backends.contract import Backend, Check, Device, Outcome, Probe
from ortolan_backends.options import ProviderOptions, Size, encode, option

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "EchoBackend", "EchoOptions"]


class EchoOptions(ProviderOptions):
    """One option of each kind."""

    voice: Literal["loud", "soft"] = option("loud", key="echo_voice", doc="How loud the echo is.")
    repeats: int = option(1, key="echo_repeats", ge=1, le=8, doc="How often it repeats.")
    fading: bool = option(False, key="echo_fading", doc="Whether each repetition is softer than the last.")
    memory_limit: Size | None = option(None, key="echo_memory_limit", unit="bytes", doc="The most memory it takes.")


class EchoBackend:
    """The CPU under another name."""

    name: str = "echo"
    provider: str = "CPUExecutionProvider"
    summary: str = "Repeats what the CPU says; for tests."
    compiles: bool = False
    options: type[ProviderOptions] = EchoOptions

    def probe(self) -> Probe:
        return Probe((Check("valley", Outcome.OK, "the valley answers"),), (Device("cpu", "0", "a valley"),))

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        session_options.add_provider(self.provider, encode(options))


BACKEND: Backend = EchoBackend()
