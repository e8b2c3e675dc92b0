"""Providers that this process has lost: their device works again only in a new one."""

import threading
from collections.abc import Mapping

from ortolan_backends.checks import failed
from ortolan_backends.contract import Probe
from ortolan_server.chains.contract import CPU

__all__ = ["Losses"]

# A process has one CUDA context for each device, and all that runs on CUDA shares it. ONNX Runtime's names, so that it
# holds whatever a third party calls them.
_ONE_CONTEXT = frozenset(
    {"CUDAExecutionProvider", "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider"},
)


class Losses:
    """What was lost, and why. Any thread."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._lock = threading.Lock()

    def note(self, provider: str, reason: str) -> None:
        """By ONNX Runtime's name. The first reason stays. The CPU is never lost: a process has it or is not."""
        if provider == CPU:
            return
        with self._lock:
            for each in _ONE_CONTEXT if provider in _ONE_CONTEXT else (provider,):
                self._reasons.setdefault(each, reason)

    @property
    def reasons(self) -> Mapping[str, str]:
        """By provider; empty: nothing is lost."""
        with self._lock:
            return dict(self._reasons)

    def probe(self, provider: str) -> Probe | None:
        """What a look at a lost provider finds; None: it is not lost."""
        reason = self._reasons.get(provider)
        if reason is None:
            return None
        finding = f"lost by this process while serving: {reason}"
        return Probe((failed("this process", finding, "restart the server: only a new process gets the device back"),))
