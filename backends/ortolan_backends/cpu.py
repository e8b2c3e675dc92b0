"""CPU: always there, the floor of every chain.

Its options are those of the session: threads, memory, optimisation. They hold for the whole session, so for nodes on
the rungs above as well, where those use the host at all.
"""

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import model_validator

from ortolan_backends.checks import check_session, check_wheel, skipped
from ortolan_backends.contract import Backend, Device, Outcome, Probe
from ortolan_backends.options import ProviderOptions, encode, option
from ortolan_backends.runtime.wheel import installed_wheels

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "CpuBackend", "CpuOptions"]

_PROVIDER = "CPUExecutionProvider"
_SPINNING = "session.intra_op.allow_spinning"
_INTER_OP_SPINNING = "session.inter_op.allow_spinning"
# Numbers of processors, from 1: a list or a range for each thread, apart from the first.
_AFFINITIES = r"^[1-9]\d*([,-][1-9]\d*)*(;[1-9]\d*([,-][1-9]\d*)*)*$"
_MAX_THREADS = 1024


class CpuOptions(ProviderOptions):
    """Keys with a dot are session configuration entries, the others attributes of SessionOptions."""

    threads: int = option(
        0,
        key="intra_op_num_threads",
        ge=0,
        le=_MAX_THREADS,
        doc="Threads that work on one operator; 0 takes one per physical core. Left out, a served model gets its share "
        "of the cores.",
    )
    spinning: bool = option(
        False,
        key=_SPINNING,
        doc="Lets idle threads spin instead of sleep: a little faster under full load, but at low load it costs about "
        "twenty times the CPU per request. ONNX Runtime's own default is true; Ortolan's is false.",
    )
    stop_spinning_when_idle: bool = option(
        False,
        key="session.force_spinning_stop",
        doc="With spinning: stops it as soon as the last of the concurrent runs has ended.",
    )
    thread_affinities: str | None = option(
        None,
        key="session.intra_op_thread_affinities",
        pattern=_AFFINITIES,
        allowed='processors, numbered from 1, for each thread but the first: "2;3-4;5,7"',
        doc="Pins the threads to processors; needs `threads`, and one entry less than that.",
    )
    execution_mode: Literal["sequential", "parallel"] = option(
        "sequential",
        key="execution_mode",
        spelling={"sequential": "ORT_SEQUENTIAL", "parallel": "ORT_PARALLEL"},
        doc="Whether operators that do not depend on each other run side by side; rarely faster when serving.",
    )
    inter_op_threads: int = option(
        0,
        key="inter_op_num_threads",
        ge=0,
        le=_MAX_THREADS,
        doc='Threads that run operators side by side, with execution_mode = "parallel"; 0 takes one per physical core.',
    )
    inter_op_spinning: bool = option(
        False,
        key=_INTER_OP_SPINNING,
        doc="As spinning, for the threads of inter_op_threads. ONNX Runtime's own default is true; Ortolan's is false.",
    )
    optimization_level: Literal["disabled", "basic", "extended", "layout", "all"] = option(
        "all",
        key="graph_optimization_level",
        spelling={
            "disabled": "ORT_DISABLE_ALL",
            "basic": "ORT_ENABLE_BASIC",
            "extended": "ORT_ENABLE_EXTENDED",
            "layout": "ORT_ENABLE_LAYOUT",
            "all": "ORT_ENABLE_ALL",
        },
        doc="How much the graph is rewritten when it is loaded; each level contains those before it.",
    )
    gelu_approximation: bool = option(
        False,
        key="optimization.enable_gelu_approximation",
        doc="Computes Gelu by a faster approximation, at a small loss of accuracy.",
    )
    arena: bool = option(
        True,
        key="enable_cpu_mem_arena",
        doc="Keeps freed memory for the next run; without it memory goes back to the system, and runs are slower.",
    )
    memory_pattern: bool = option(
        True,
        key="enable_mem_pattern",
        doc="Plans memory once per input shape; off saves memory when shapes vary with every request.",
    )
    memory_reuse: bool = option(
        True,
        key="enable_mem_reuse",
        doc="Lets tensors of one run share memory when they do not live at the same time.",
    )
    prepacking: bool = option(
        True,
        key="session.disable_prepacking",
        spelling={"1": "0", "0": "1"},  # the key says the opposite
        doc="Rearranges weights once for faster kernels, which keeps a second copy of them in memory.",
    )
    deterministic: bool = option(
        False,
        key="use_deterministic_compute",
        doc="Takes only kernels that give the same bits for the same input, where there is a choice.",
    )
    denormals_as_zero: bool = option(
        False,
        key="session.set_denormal_as_zero",
        doc="Treats denormal numbers as zero: much faster for models whose values fade towards zero.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.execution_mode == "sequential":
            for name in ("inter_op_threads", "inter_op_spinning"):
                if getattr(self, name):
                    raise ValueError(f'{name} has no effect without execution_mode = "parallel"')
        if self.stop_spinning_when_idle and not (self.spinning or self.inter_op_spinning):
            raise ValueError("stop_spinning_when_idle has no effect without spinning = true")
        if self.thread_affinities is not None:
            entries = self.thread_affinities.count(";") + 1
            if self.threads != entries + 1:
                raise ValueError(
                    f"thread_affinities has {entries} entries, so threads must be {entries + 1}: the first thread is "
                    f"the caller's and is not pinned"
                )
        return self


class CpuBackend:
    """ONNX Runtime's own kernels."""

    name: str = "cpu"
    provider: str = _PROVIDER
    summary: str = "Runs every operator on any machine; the floor of a chain, and enough for many small models."
    compiles: bool = False
    options: type[ProviderOptions] = CpuOptions

    def probe(self) -> Probe:
        wheel = check_wheel()
        if wheel.outcome is Outcome.FAILED:
            return Probe((wheel, *skipped(["session"], wheel.finding)))
        session = check_session("cpu", {}, "reinstall the ONNX Runtime wheel")
        versions = {"onnxruntime": next(iter(installed_wheels().values()))}
        return Probe((wheel, session), (_processor(),), versions)

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        # Spinning is switched off here too, for whoever opens a session without the chain's defaults.
        settings = {_SPINNING: "0", _INTER_OP_SPINNING: "0"} | encode(options)
        for key, text in settings.items():
            if "." in key:
                session_options.add_session_config_entry(key, text)
            else:
                setattr(session_options, key, _attribute(getattr(session_options, key), text))
        # After the settings: the provider takes over the arena's at this moment.
        session_options.add_provider(_PROVIDER, {})


def _attribute(current: Any, text: str) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """`text` as a value of the type that the attribute has now: a boolean, a number or an enumeration."""
    if isinstance(current, bool):
        return text == "1"
    if isinstance(current, int):
        return int(text)
    return type(current).__members__[text]


def _processor() -> Device:
    try:
        memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on every system
        memory_bytes = 0
    return Device("cpu", "0", f"{_processor_name()}, {os.cpu_count()} processors", memory_bytes)


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


BACKEND: Backend = CpuBackend()
