"""An open ONNX Runtime session: opened at a rung, run, described."""

import ctypes
import threading
import weakref
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ortolan_backends.contract import Backend
from ortolan_backends.errors import LoadCancelled, OpenRefused, OutOfMemory, RunFailed, UnservableModel
from ortolan_backends.options import ProviderOptions
from ortolan_backends.runtime.binding import Misfit, run_bound
from ortolan_backends.runtime.failures import classify_open, classify_run, plain
from ortolan_backends.runtime.load_handle import LoadHandle
from ortolan_backends.runtime.log import LogLine, RuntimeLog
from ortolan_backends.runtime.model import ModelFile
from ortolan_backends.runtime.ort import onnxruntime
from ortolan_backends.runtime.turns import Turns
from ortolan_backends.runtime.weights import weights_in_memory

__all__ = ["OpenRung", "RunHandle", "Session", "TensorInfo", "open_session"]

Array = NDArray[np.generic]

_BFLOAT16 = "tensor(bfloat16)"
_STRING = "tensor(string)"
_ONNX_BFLOAT16 = 16  # onnx.TensorProto.BFLOAT16
_FATAL = 4
_NO_SESSION = "Default"
# Spinning threads cost twenty times the CPU per request at low load; the cpu backend can switch it on.
_DEFAULTS = {"session.intra_op.allow_spinning": "0", "session.inter_op.allow_spinning": "0"}
_MOST_LINES = 100
# Gives back all but the first piece of each arena named, once the run is over: ONNX Runtime's own key.
_SHRINK = "memory.enable_memory_arena_shrinkage"
_CPU = "CPUExecutionProvider"
_ON_CUDA = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
_session_numbers = count(1)
# Provider libraries that fail to load write to the log of no session: one opening at a time tells them apart.
_turns = Turns()


@dataclass(frozen=True, slots=True)
class OpenRung:
    """A provider with its options, as a session takes it."""

    backend: Backend
    options: ProviderOptions


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output as ONNX Runtime declares it."""

    name: str
    onnx_type: str
    """E.g. `tensor(float)` or `seq(map(int64,tensor(float)))`."""
    shape: tuple[int | str | None, ...] | None
    """A text is a symbol, None a dimension that has no name; both may vary. None for all: any rank."""
    memory: str = "Cpu"
    """ONNX Runtime's name of the memory it lives in."""


class RunHandle:
    """Stops one run from another thread: between nodes, not inside a kernel or a fused subgraph."""

    __slots__ = ("options",)

    def __init__(self) -> None:
        self.options = onnxruntime.RunOptions()
        # A failed run raises with the same text; a caller's bad input is no line for our log.
        self.options.log_severity_level = _FATAL

    def terminate(self) -> None:
        """Before the run it makes the run fail at once; after it, nothing."""
        self.options.terminate = True


class Session:
    """A session and what can be asked of it. Runs may be made from several threads at once."""

    def __init__(self, session: Any, model: ModelFile) -> None:  # noqa: ANN401 - onnxruntime has no types
        self._session = session
        self.gone = threading.Event()
        """Set when nobody has it any more, nor runs it, and ONNX Runtime has let all of it go."""
        native = session._sess  # noqa: SLF001 - memory infos have no public way before 1.32
        weakref.finalize(native, self.gone.set)  # of this object or the one around it: before its memory is free
        self.inputs = _tensors(session.get_inputs(), native.input_meminfos, model.unranked)
        self.outputs = _tensors(session.get_outputs(), native.output_meminfos, model.unranked)
        self._bfloat16_inputs = {tensor.name for tensor in self.inputs if tensor.onnx_type == _BFLOAT16}
        self._bfloat16_outputs = {tensor.name for tensor in self.outputs if tensor.onnx_type == _BFLOAT16}
        self._arenas = _arenas(session)
        self._shrinks = False
        types = {tensor.onnx_type for tensor in (*self.inputs, *self.outputs)}
        self._binds = types.isdisjoint((_BFLOAT16, _STRING))
        if self._bfloat16_outputs and any(tensor.onnx_type == _STRING for tensor in (*self.inputs, *self.outputs)):
            raise UnservableModel(
                "ONNX Runtime's Python cannot give BF16 outputs of a model with strings", stage="open"
            )

    @property
    def providers(self) -> tuple[str, ...]:
        """As ONNX Runtime lists them. Not a proof that any of them has a node."""
        return tuple(self._session.get_providers())

    @property
    def provider_options(self) -> Mapping[str, Mapping[str, str]]:
        """Options by provider, as read back from the session."""
        return dict(self._session.get_provider_options())

    @property
    def optimization_level(self) -> Any:  # noqa: ANN401 - onnxruntime has no types
        """The `onnxruntime.GraphOptimizationLevel` it was opened with."""
        return self._session.get_session_options().graph_optimization_level

    @property
    def threads(self) -> int:
        """That work on one operator; 0: as many as ONNX Runtime takes."""
        return int(self._session.get_session_options().intra_op_num_threads)

    def assigned_subgraphs(self) -> list[Any]:
        """ONNX Runtime's record of what it assigned at partitioning."""
        return list(self._session.get_provider_graph_assignment_info())

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        """Runs the model: arrays by input name in, arrays in the order of `outputs` out.

        BF16 tensors are uint16 arrays of the same bits; BYTES tensors are object arrays of `str`. Inputs are
        read in place where ONNX Runtime can (C-contiguous), and are not kept after the run. Raises a
        subclass of `ortolan_backends.errors.RunFailed`. After one that had no memory the next run gives back what its
        arenas hold and do not need.
        """
        if self._shrinks:
            self._shrinks = False
            handle.options.add_run_config_entry(_SHRINK, self._arenas)
        try:
            if not self._bfloat16_outputs.isdisjoint(outputs):
                return self._run_values(feeds, outputs, handle)
            if self._bfloat16_inputs:
                feeds = {name: self._bfloat16_value(name, array) for name, array in feeds.items()}
            arrays: list[Array] = self._session.run(outputs, feeds, handle.options)
        except Exception as error:
            raise self._failed(error) from error
        return arrays

    def run_into(
        self, feeds: Mapping[str, Array], outputs: Sequence[str], into: Sequence[Array], handle: RunHandle
    ) -> list[Array]:
        """As `run()`, with each output written to the array that `into` has for it, where that can be done.

        `into` are C-contiguous, writable and of the outputs' dtypes. The arrays that come back are its own wherever the
        output is in them, and others where it is not: where the model gives another shape or gives an input back, and
        for models with BF16 or BYTES tensors.
        """
        if self._binds:
            try:
                return run_bound(self._session, feeds, outputs, into, handle.options)
            except Misfit:
                self._binds = False  # its declared shapes cannot be trusted: a second run each time would cost more
            except Exception as error:
                raise self._failed(error) from error
        return self.run(feeds, outputs, handle)

    def _failed(self, error: Exception) -> RunFailed:
        """In our terms."""
        failure = classify_run(error)
        self._shrinks = bool(self._arenas) and isinstance(failure, OutOfMemory)
        return failure

    def _run_values(self, feeds: Mapping[str, Array], outputs: Sequence[str], handle: RunHandle) -> list[Array]:
        """`run()` for BF16 outputs, which `InferenceSession.run` cannot give."""
        values = {
            name: self._bfloat16_value(name, array)
            if name in self._bfloat16_inputs
            else onnxruntime.OrtValue.ortvalue_from_numpy(array)
            for name, array in feeds.items()
        }
        results = self._session.run_with_ort_values(list(outputs), values, handle.options)
        return [
            _bfloat16_bits(value) if name in self._bfloat16_outputs else value.numpy()
            for name, value in zip(outputs, results, strict=True)
        ]

    def _bfloat16_value(self, name: str, array: Array) -> Any:  # noqa: ANN401 - onnxruntime has no types
        """An OrtValue for a BF16 input; other inputs as they are."""
        if name not in self._bfloat16_inputs:
            return array
        contiguous = np.ascontiguousarray(array)
        return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(contiguous, _ONNX_BFLOAT16)


def open_session(  # noqa: PLR0913 - all that an opening needs
    model: ModelFile,
    rungs: Sequence[OpenRung],
    log: RuntimeLog,
    *,
    threads: int = 0,
    handle: LoadHandle | None = None,
    name: str = "",
) -> tuple[Session, list[LogLine]]:
    """Opens `model` on the first of `rungs`, with the others as fallback for single nodes.

    So many `threads` work on one operator, where no rung's options say it; 0: as many as ONNX Runtime takes.
    Whoever waits for its turn meanwhile is told the `name`.
    A lower rung that cannot be attached is left out: it is a fallback, not what was asked for. Returns the
    session and what ONNX Runtime logged meanwhile, with a line of ours for each rung left out. Raises
    OpenRefused, whose stage says where it ended, and LoadCancelled when `handle` says so: ONNX Runtime looks
    between its own steps on a graph, a provider that compiles does not.
    """
    handle = handle or LoadHandle()
    logid = f"session-{next(_session_numbers)}"
    stage = "attach"
    failure: Exception | None = None
    with _turns.take(name or str(model.path), handle), log.capture() as captured:
        try:
            options, left_out = _session_options(model, rungs, logid, threads)
            stage = "open"
            on_cpu = all(rung.backend.provider == _CPU for rung in rungs)
            weights = weights_in_memory(options, model) if on_cpu else nullcontext()
            with weights, handle.stopped_by(lambda: options.set_load_cancellation_flag(True)):
                session = Session(onnxruntime.InferenceSession(model.source, options, enable_fallback=0), model)
        except (UnservableModel, LoadCancelled):
            raise
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeError and worse
            failure = error.with_traceback(None)  # the frames below hold a session that is half open
    lines = _ours(captured, logid)  # complete only now
    if failure is not None:
        raise _refusal(failure, stage, lines) from failure
    handle.require_wanted()
    return session, [*lines, *left_out]


def _refusal(failure: Exception, stage: str, lines: Sequence[LogLine]) -> OpenRefused:
    refused = classify_open(failure, stage=stage, log=_telling(lines))
    refused.log = tuple(line.text for line in lines if line.is_problem)
    return refused


def _ours(lines: Sequence[LogLine], logid: str) -> list[LogLine]:
    """Without those of sessions that run meanwhile: provider libraries log under no session's name."""
    return [line for line in lines if line.logid in (logid, "Default")][:_MOST_LINES]


def _session_options(
    model: ModelFile, rungs: Sequence[OpenRung], logid: str, threads: int
) -> tuple[Any, list[LogLine]]:
    options = onnxruntime.SessionOptions()
    options.logid = logid
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    # A model opened from bytes has no folder of its own.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(model.path.parent))
    first, *lower = rungs
    first.backend.attach(options, first.options)
    left_out = []
    for rung in lower:
        try:
            rung.backend.attach(options, rung.options)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises plain RuntimeError and worse
            left_out.append(
                LogLine("W", options.logid, "open_session", f"left out below: {rung.backend.name}: {plain(str(error))}")
            )
    for key, value in _DEFAULTS.items():
        with suppress(RuntimeError):
            options.get_session_config_entry(key)  # raises unless a backend has set it
            continue
        options.add_session_config_entry(key, value)
    return options, left_out


def _telling(lines: Sequence[LogLine]) -> str:
    """The message that explains a failure: the first error, else the first warning that is of no session.

    Sessions warn of much that does no harm, such as initializers that nobody reads.
    """
    errors = (line.text for line in lines if line.severity in "EF")
    warnings = (line.text for line in lines if line.severity == "W" and line.logid == _NO_SESSION)
    return next(errors, "") or next(warnings, "")


def _arenas(session: Any) -> str:  # noqa: ANN401 - onnxruntime has no types
    """Those of a session, as ONNX Runtime's option names them: a run that names another one fails."""
    arenas = ["cpu:0"] if session.get_session_options().enable_cpu_mem_arena else []
    options = session.get_provider_options()
    devices = [options[provider].get("device_id", "0") for provider in _ON_CUDA if provider in options]
    arenas += [f"gpu:{device}" for device in dict.fromkeys(devices)]
    return ";".join(arenas)


def _tensors(declared: Sequence[Any], memories: Sequence[Any], unranked: Collection[str]) -> tuple[TensorInfo, ...]:
    # ONNX Runtime shows an unknown rank as [], as it does a scalar: the model tells them apart.
    return tuple(
        TensorInfo(node.name, node.type, None if node.name in unranked else _shape(node.shape), memory.name)
        for node, memory in zip(declared, memories, strict=True)
    )


def _shape(declared: Sequence[int | str | None]) -> tuple[int | str | None, ...]:
    # Some exporters write "?" for every dimension they do not know: it is no symbol that stands for one size.
    return tuple(None if size == "?" else size for size in declared)


def _bfloat16_bits(value: Any) -> NDArray[np.uint16]:  # noqa: ANN401 - onnxruntime has no types
    shape = tuple(value.shape())
    size = int(np.prod(shape, dtype=np.int64))
    if size == 0:
        return np.empty(shape, np.uint16)
    pointer = ctypes.cast(value.data_ptr(), ctypes.POINTER(ctypes.c_uint16))
    return np.ctypeslib.as_array(pointer, (size,)).copy().reshape(shape)
