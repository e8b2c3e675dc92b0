"""NNAPI: the accelerators of Android devices."""

import sys
from typing import TYPE_CHECKING, Self

from pydantic import model_validator

from ortolan_backends.checks import failed, ok
from ortolan_backends.contract import Backend, Check, Probe
from ortolan_backends.errors import OpenRefused
from ortolan_backends.options import ProviderOptions, encode, option
from ortolan_backends.platforms import probe_built_in

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "NnapiBackend", "NnapiOptions", "judge_api_level", "refuse_flags"]

_PROVIDER = "NnapiExecutionProvider"
_FIRST_API_LEVEL = 27
_API_LEVELS = {"USE_NCHW": 29, "CPU_DISABLED": 29}
_STOP_OPS = "ep.nnapi.partitioning_stop_ops"


class NnapiOptions(ProviderOptions):
    """The options of NnapiExecutionProvider: four flags, and where it stops."""

    fp16: bool = option(False, key="USE_FP16", doc="Lets FP32 models compute in FP16: faster, less accurate.")
    nchw: bool = option(
        False,
        key="USE_NCHW",
        doc="Keeps the layout NCHW instead of converting to NHWC; needs Android API level 29, and is usually slower.",
    )
    cpu_disabled: bool = option(
        False,
        key="CPU_DISABLED",
        doc="Keeps NNAPI from its own CPU implementation, which is slower than ONNX Runtime's; needs API level 29.",
    )
    cpu_only: bool = option(
        False,
        key="CPU_ONLY",
        doc="Uses NNAPI's CPU implementation alone, to look for faults.",
    )
    partitioning_stop_ops: str | None = option(
        None,
        key=_STOP_OPS,
        pattern=r"^\w+(,\w+)*$",
        allowed="operator types, separated by commas",
        doc="From the first node of one of these types on, nothing goes to NNAPI.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.cpu_disabled and self.cpu_only:
            raise ValueError("cpu_disabled and cpu_only exclude each other")
        return self


class NnapiBackend:
    """NNAPI's compiled subgraphs."""

    name: str = "nnapi"
    provider: str = _PROVIDER
    summary: str = "Runs on the accelerator of an Android device; nodes that NNAPI lacks cut the graph into pieces."
    compiles: bool = True
    options: type[ProviderOptions] = NnapiOptions

    def probe(self) -> Probe:
        return probe_built_in(
            self,
            install="build ONNX Runtime for Android with --use_nnapi: no published wheel has it",
            session_mend="see ONNX Runtime's message; the device's NNAPI driver may be missing",
            system=lambda: judge_api_level(_api_level()),
        )

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        """Raises OpenRefused for flags: ONNX Runtime's Python opens NNAPI without any, and says nothing."""
        settings = encode(options)
        stop_ops = settings.pop(_STOP_OPS, "")
        refuse_flags(settings, _api_level())
        if stop_ops:
            session_options.add_session_config_entry(_STOP_OPS, stop_ops)
        session_options.add_provider(_PROVIDER, {})


def judge_api_level(level: int) -> tuple[Check, ...]:
    """`level` as `sys.getandroidapilevel()` says it; 0: this is not Android."""
    if not level:
        return (failed("system", f"NNAPI needs Android, and this is {sys.platform}", "run on an Android device"),)
    if level < _FIRST_API_LEVEL:
        finding = f"NNAPI needs Android API level {_FIRST_API_LEVEL}, and this is {level}"
        return (failed("system", finding, "update to Android 8.1 or newer"),)
    return (ok("system", f"Android API level {level}"),)


def refuse_flags(flags: dict[str, str], level: int) -> None:
    """Raises OpenRefused for the first flag that is set: what cannot be kept must not be passed over."""
    for flag in (flag for flag, text in flags.items() if text == NnapiOptions.true_word):
        needed = _API_LEVELS.get(flag, _FIRST_API_LEVEL)
        if level < needed:
            raise OpenRefused(f"NNAPI's {flag} needs Android API level {needed}, and this is {level}", stage="attach")
        raise OpenRefused(f"ONNX Runtime's Python cannot pass {flag} on to NNAPI: leave it out", stage="attach")


def _api_level() -> int:
    ask = getattr(sys, "getandroidapilevel", None)  # on Android only
    return int(ask()) if ask else 0


BACKEND: Backend = NnapiBackend()
