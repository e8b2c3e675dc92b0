"""What an exception of ONNX Runtime means.

Types where ONNX Runtime has them, else its texts: `Fail` alone stands for a bad shape as well as for no
memory. The texts were read off real failures of versions 1.24 to 1.32 on CPU, OpenVINO and CUDA libraries.
"""

import re

from ortolan_backends.errors import (
    DeviceFailure,
    InvalidInput,
    OpenRefused,
    OutOfMemory,
    RunCancelled,
    RunFailed,
    UnservableModel,
)
from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["classify_open", "classify_run", "plain"]

_state = onnxruntime.capi.onnxruntime_pybind11_state

_BAD_MODEL = (_state.NoSuchFile, _state.InvalidProtobuf, _state.InvalidGraph)
# Not every version has all of them.
_DEVICE_TYPES = tuple(
    getattr(_state, name) for name in ("EPFail", "EngineError", "DeviceReset") if hasattr(_state, name)
)

_NEWER_IR = re.compile(r"Unsupported model IR version: (\d+), max supported IR version: (\d+)")
_NEWER_OPSET = re.compile(r"Opset (\d+) is under development.* support for domain (\S+) is till opset (\d+)", re.DOTALL)
_CANCELLED = re.compile(r"terminate flag being set", re.IGNORECASE)
_NO_MEMORY = re.compile(
    r"Failed to allocate memory|bad_alloc|out of memory|bad allocation"
    r"|CUDA failure 2\b|_ALLOC(?:ATION)?_FAILED\b",
    re.IGNORECASE,
)
# Where it was raised says it too, which is no part of a plain text.
_ARENA = re.compile(r"\bbfc_arena\b")
# Errors after which a CUDA context is of no use. Of all but four of these, the CUDA runtime's reference (data types,
# cudaError) says that the process must be relaunched. The four: uncorrectable errors of memory (214) and NVLink
# (220), a context that is gone (709), and 999, which says nothing. Any other concerns the one call that it answers,
# as an invalid launch configuration (9) does. cuBLAS and cuDNN answer the two below when a kernel of theirs died.
_LOST_CONTEXT = "214|220|226|700|702|709|710|714|715|716|717|718|719|721|810|911|999"
_STICKY = re.compile(
    rf"CUDA failure (?:{_LOST_CONTEXT})\b"
    # Not what cuDNN appends to INTERNAL_ERROR: no memory, a kernel that does not compile, bad parameters.
    r"|CU(?:BLAS|DNN)_STATUS_(?:EXECUTION_FAILED(?:_[A-Z_]+)?|INTERNAL_ERROR)\b",
    re.IGNORECASE,
)
_LOST = re.compile(r"device (?:was )?(?:lost|removed)\b", re.IGNORECASE)
# What a cause is wrapped in: it stands behind the last of each.
_WRAPPERS = (
    re.compile(r"\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : "),
    re.compile(r"\[OpenVINO-EP\] "),
)
# A source file with its line, a function's signature, and what it found false: CUDA's alone are longer than a message
# may be. Behind a CUDA error stands where it came from, with the name of this machine.
_SOURCE = re.compile(
    r"/\S{1,200}\.(?:cc|cpp|cu|cuh|h|hpp):\d+ [^()\n]*(?:\((?:[^()\n]|\([^()\n]*\))*\))+(?:::<lambda\([^()\n]*\)>)*"
    r"(?: const)?(?: \[with [^\]\n]*\])? (?:[^\n]{1,200}? was false\. )?"
)
_CUDA_CALL = re.compile(r" ; GPU=-?\d+ ; hostname=[^\n]*? ; expr=([^;\n]*);?")
_PLACE = re.compile(r"Exception from \S+:\d+:$|Check '.*' failed at \S+:\d+:$")
_MESSAGE_LIMIT = 600
# More than any message with its signatures; looking for them takes a time that grows with the square.
_LONGEST_SOURCE = 8192


def classify_run(error: Exception) -> RunFailed:
    """The error of a run in our terms; the text is ONNX Runtime's, without its prefix."""
    text = plain(str(error)) or type(error).__name__
    if _CANCELLED.search(text):
        return RunCancelled(text)
    sticky = _STICKY.search(text)
    if sticky or _LOST.search(text):
        return DeviceFailure(text, sticky=sticky is not None)
    if _NO_MEMORY.search(text) or _ARENA.search(str(error)):
        return OutOfMemory(text)
    if isinstance(error, _DEVICE_TYPES):
        return DeviceFailure(text)
    # A model's bytes that are no text raise UnicodeError, which is a ValueError too.
    if isinstance(error, (_state.InvalidArgument, ValueError)) and not isinstance(error, UnicodeError):
        return InvalidInput(text)
    return RunFailed(text)


def classify_open(error: Exception, *, stage: str, log: str) -> OpenRefused:
    """The error of opening a session in our terms; `log` is the telling message of ONNX Runtime's log."""
    log = plain(log)
    text = plain(str(error)) or type(error).__name__
    if newer := _why_newer(text):
        return UnservableModel(newer, stage=stage)
    if isinstance(error, _BAD_MODEL):
        return UnservableModel(text, stage=stage)
    # "Provider configuration is not supported" is all that attach says: the log knows the library.
    reason = f"{text} ({log})" if log and log not in text else text
    return OpenRefused(reason, stage=stage)


def _why_newer(text: str) -> str:
    """Why no provider of this ONNX Runtime can open a model that is newer than it; empty: that is not what it says."""
    ours = f"this ONNX Runtime {onnxruntime.__version__} reads"
    if match := _NEWER_IR.search(text):
        return f"the model is of IR version {match[1]}; {ours} those up to {match[2]}"
    if match := _NEWER_OPSET.search(text):
        return f"the model is of opset {match[1]} of {match[2]}; {ours} those up to {match[3]}"
    return ""


def plain(text: str) -> str:
    """A message of ONNX Runtime as one line that tells the cause.

    Without the C++ signatures and source places that it is wrapped in, and without the stack trace that CUDA
    builds append.
    """
    for wrapper in _WRAPPERS:
        text = wrapper.split(text)[-1]
    text = text[:_LONGEST_SOURCE]
    text = _CUDA_CALL.sub(r", at \1", _SOURCE.sub("", text))
    lines = [line.strip() for line in text.split("Stacktrace:", 1)[0].splitlines()]
    told = " ".join(line for line in lines if line and not _PLACE.match(line))
    return told if len(told) <= _MESSAGE_LIMIT else told[: _MESSAGE_LIMIT - 1] + "…"
