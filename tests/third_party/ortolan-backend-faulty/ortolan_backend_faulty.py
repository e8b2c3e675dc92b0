"""The backend of FaultyExecutionProvider, a real plugin that does what a file tells it.

A model names the file in its option `command_file`. A probe has no options: it reads the file that the environment
variable ORTOLAN_FAULTY_COMMANDS names, and finds no device while that says `absent`, `lost` or `sticky`.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ortolan_backends.contract import Backend, Check, Device, Outcome, Probe
from ortolan_backends.options import ProviderOptions, encode, option
from ortolan_backends.plugin_backend import attach_plugin
from ortolan_backends.runtime.plugins import Plugin

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "PLUGIN", "FaultyBackend", "FaultyOptions"]

PLUGIN = Plugin("FaultyExecutionProvider", ("ortolan-backend-faulty",), "onnxruntime_faulty")
_WITHOUT_DEVICE = {"absent", "lost", "sticky"}


class FaultyOptions(ProviderOptions):
    command_file: str | None = option(
        None, key="command_file", doc="The file that says what goes wrong; without one nothing does."
    )


class FaultyBackend:
    """One CPU, until it is told otherwise."""

    name: str = "faulty"
    provider: str = PLUGIN.provider
    summary: str = "Fails when it is told to; for tests."
    compiles: bool = True
    options: type[ProviderOptions] = FaultyOptions

    def probe(self) -> Probe:
        word = _word_of(os.environ.get("ORTOLAN_FAULTY_COMMANDS", ""))
        if word in _WITHOUT_DEVICE:
            return Probe((Check("device", Outcome.FAILED, f"the device is told to be {word}", "tell it to be ok"),))
        return Probe((Check("device", Outcome.OK, "one found"),), (Device("cpu", "0", "a CPU"),))

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        attach_plugin(session_options, PLUGIN, encode(options))


def _word_of(file: str) -> str:
    """The command in the file; `ok` where there is none."""
    words = Path(file).read_text(encoding="utf-8").split() if file and Path(file).exists() else []
    return words[0] if words else "ok"


BACKEND: Backend = FaultyBackend()
