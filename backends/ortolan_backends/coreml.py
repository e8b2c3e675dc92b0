"""CoreML: the CPU, GPU and Neural Engine of Apple's machines."""

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ortolan_backends.caching import placed_by_its_options, with_options
from ortolan_backends.checks import failed, ok
from ortolan_backends.contract import Backend, Check, Device, NotCached, Outcome, Probe
from ortolan_backends.options import ProviderOptions, encode, option
from ortolan_backends.platforms import probe_built_in

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "CoreMlBackend", "CoreMlOptions", "judge_system"]

_PROVIDER = "CoreMLExecutionProvider"
_FIRST_WITH_MLPROGRAM = 12


class CoreMlOptions(ProviderOptions):
    """The options of CoreMLExecutionProvider."""

    model_format: Literal["NeuralNetwork", "MLProgram"] = option(
        "NeuralNetwork",
        key="ModelFormat",
        doc="The format that nodes are converted to; MLProgram is the newer one, has other operators, and needs macOS "
        "12.",
    )
    compute_units: Literal["ALL", "CPUAndNeuralEngine", "CPUAndGPU", "CPUOnly"] = option(
        "ALL",
        key="MLComputeUnits",
        doc="The parts of the chip that CoreML may choose from.",
    )
    require_static_shapes: bool = option(
        False,
        key="RequireStaticInputShapes",
        doc="Takes only nodes whose inputs have fixed shapes; nodes with dynamic ones are slow on CoreML.",
    )
    enable_on_subgraphs: bool = option(
        False,
        key="EnableOnSubgraphs",
        doc="Takes nodes in the bodies of Loop, Scan and If too.",
    )
    specialization_strategy: Literal["Default", "FastPrediction"] = option(
        "Default",
        key="SpecializationStrategy",
        doc="FastPrediction spends longer on loading for quicker runs; only newer systems know it.",
    )
    profile_compute_plan: bool = option(
        False,
        key="ProfileComputePlan",
        doc="Logs which operator goes to which part of the chip, and what it is estimated to cost.",
    )
    low_precision_accumulation: bool = option(
        False,
        key="AllowLowPrecisionAccumulationOnGPU",
        doc="Lets the GPU add up in FP16: faster, less accurate.",
    )
    cache_dir: str | None = option(
        None,
        key="ModelCacheDirectory",
        pattern=r"^[^\x00]+$",
        allowed="the path of a folder",
        doc="A folder of your own for compiled models. There, without COREML_CACHE_KEY in the model's metadata, CoreML "
        "takes the file's path as its key, and may reuse what it compiled from older weights. Without this option "
        "Ortolan's cache keeps them, by their bytes.",
    )


class CoreMlBackend:
    """CoreML's compiled subgraphs."""

    name: str = "coreml"
    provider: str = _PROVIDER
    summary: str = "Runs on Apple's GPU and Neural Engine; nodes that CoreML lacks cut the graph into pieces."
    compiles: bool = True
    options: type[ProviderOptions] = CoreMlOptions

    def probe(self) -> Probe:
        return probe_built_in(
            self,
            install="pip install --force-reinstall onnxruntime (its wheel for macOS has CoreML)",
            session_mend="see ONNX Runtime's message, or update macOS",
            system=lambda: judge_system(sys.platform, platform.mac_ver()[0], platform.machine()),
            devices=(Device("npu", "0", f"Apple {platform.machine()}"),),
        )

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        session_options.add_provider(_PROVIDER, encode(options))

    def cache_in(self, options: ProviderOptions, folder: Path) -> ProviderOptions | NotCached:
        return placed_by_its_options(options, ("cache_dir",)) or with_options(options, cache_dir=str(folder))

    def compiles_for(self, _options: ProviderOptions, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        return devices

    def writes_while_running(self, _options: ProviderOptions) -> bool:
        return False


def judge_system(system: str, version: str, machine: str) -> tuple[Check, ...]:
    """From what `sys.platform`, `platform.mac_ver()` and `platform.machine()` say."""
    if system != "darwin":
        return (failed("system", f"CoreML needs macOS, and this is {system}", "run on an Apple machine"),)
    checks = []
    major = int(version.partition(".")[0] or 0)
    if major < _FIRST_WITH_MLPROGRAM:
        finding = f"macOS {version} has no MLProgram, so only the format NeuralNetwork works"
        checks.append(Check("system", Outcome.DEGRADED, finding, "update to macOS 12 or newer"))
    else:
        checks.append(ok("system", f"macOS {version}"))
    if machine == "arm64":
        checks.append(ok("architecture", "arm64"))
    else:
        finding = f"{machine} has no Neural Engine"
        checks.append(Check("architecture", Outcome.DEGRADED, finding, "run on Apple silicon, with a Python for arm64"))
    return tuple(checks)


BACKEND: Backend = CoreMlBackend()
