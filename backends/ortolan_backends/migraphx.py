"""MIGraphX: compiled programs for AMD GPUs."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator

from ortolan_backends.caching import device_by_number, placed_by_its_options, with_options
from ortolan_backends.checks import check_session, check_wheel, failed, ok, opening_failed, skipped
from ortolan_backends.contract import Backend, Check, Device, NotCached, Outcome, Probe
from ortolan_backends.options import ProviderOptions, Size, encode, option
from ortolan_backends.runtime.libraries import LibraryFinding, NotElfError, look_for, needed_libraries
from ortolan_backends.runtime.wheel import capi_folder, installed_wheels

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "MiGraphXBackend", "MiGraphXOptions", "judge_libraries"]

_PROVIDER = "MIGraphXExecutionProvider"
_LIBRARY = "libonnxruntime_providers_migraphx.so"
_ROCM = ("libmigraphx_c", "libamdhip64")
_DRIVER = Path("/dev/kfd")
_LATER = ("libraries", str(_DRIVER), "session")
_PATH = r"^[^\x00]+$"


class MiGraphXOptions(ProviderOptions):
    """The options of MIGraphXExecutionProvider, as its wheel 1.27 has them."""

    true_word: ClassVar[str] = "True"
    false_word: ClassVar[str] = "False"

    device_id: int = option(0, key="device_id", ge=0, le=255, doc="The GPU, as HIP numbers them for this process.")
    fp16: bool = option(False, key="migraphx_fp16_enable", doc="Computes in FP16: faster, less accurate.")
    bf16: bool = option(False, key="migraphx_bf16_enable", doc="Computes in BF16: faster, less accurate.")
    fp8: bool = option(False, key="migraphx_fp8_enable", doc="Computes in FP8 on GPUs that have it.")
    int8: bool = option(False, key="migraphx_int8_enable", doc="Computes in INT8; needs a calibration table.")
    int8_calibration_table: str | None = option(
        None,
        key="migraphx_int8_calibration_table_name",
        pattern=_PATH,
        allowed="the path of a file",
        doc="The calibration table.",
    )
    int8_native_calibration_table: bool = option(
        False,
        key="migraphx_int8_use_native_calibration_table",
        doc="Whether the calibration table is MIGraphX's own, and not ONNX Runtime's.",
    )
    exhaustive_tune: bool = option(
        False,
        key="migraphx_exhaustive_tune",
        doc="Tries all kernels at load, which takes long.",
    )
    memory_limit: Size | None = option(
        None,
        key="migraphx_mem_limit",
        unit="bytes",
        doc="The most GPU memory that the session's arena takes. Without it there is no limit.",
    )
    arena_extend_strategy: Literal["kNextPowerOfTwo", "kSameAsRequested"] = option(
        "kNextPowerOfTwo",
        key="migraphx_arena_extend_strategy",
        doc="How the arena grows: in doubling steps, or by just what is asked for.",
    )
    cache_dir: str | None = option(
        None,
        key="migraphx_model_cache_dir",
        pattern=_PATH,
        allowed="the path of a folder",
        doc="A folder of your own for compiled programs. Without it Ortolan's cache keeps them.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        for name in ("int8_calibration_table", "int8_native_calibration_table"):
            if getattr(self, name) and not self.int8:
                raise ValueError(f"{name} has no effect without int8 = true")
        return self


class MiGraphXBackend:
    """MIGraphX's compiled programs."""

    name: str = "migraphx"
    provider: str = _PROVIDER
    summary: str = "Compiles models for AMD GPUs with ROCm; the first load takes minutes, and a cache spares the next."
    compiles: bool = True
    options: type[ProviderOptions] = MiGraphXOptions

    def probe(self) -> Probe:
        wheel = check_wheel(_PROVIDER, "migraphx", "onnxruntime-migraphx")
        folder = capi_folder()
        if wheel.outcome is Outcome.FAILED or folder is None:
            return Probe((wheel, *skipped(_LATER, wheel.finding)))
        checks = (wheel, *_libraries(folder), _judge_driver(is_there=_DRIVER.exists()))
        versions = {"onnxruntime": next(iter(installed_wheels().values()))}
        if any(check.outcome is Outcome.FAILED for check in checks):
            later = skipped(["session"], "it cannot open before the above is mended")
            return Probe((*checks, *later), versions=versions)
        session = check_session(self.name, {}, "see ONNX Runtime's message; `rocminfo` must list the GPU")
        devices = (Device("gpu", "0", "the first GPU of HIP"),) if session.outcome is Outcome.OK else ()
        return Probe((*checks, session), devices, versions)

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        session_options.add_provider(_PROVIDER, encode(options))

    def cache_in(self, options: ProviderOptions, folder: Path) -> ProviderOptions | NotCached:
        # The table's content is not in our key: one that was changed would go unnoticed.
        own = placed_by_its_options(options, ("cache_dir", "int8_calibration_table"))
        return own or with_options(options, cache_dir=str(folder))

    def compiles_for(self, options: ProviderOptions, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        return device_by_number(devices, getattr(options, "device_id", 0))

    def writes_while_running(self, _options: ProviderOptions) -> bool:
        return True  # a program for each new shape


def judge_libraries(found: Iterable[LibraryFinding]) -> tuple[Check, ...]:
    """One check for each library of ROCm, and for whichever other one does not open."""
    checks = []
    for library in found:
        if library.error:
            mend = "install ROCm 7 with MIGraphX (`apt install migraphx` from AMD's repository)"
            checks.append(failed(library.name, opening_failed(library.name, library.error), mend))
        elif library.name.startswith(_ROCM):
            checks.append(ok(library.name, f"{library.name} is {library.path or 'found'}"))
    return tuple(checks)


def _libraries(folder: Path) -> tuple[Check, ...]:
    try:
        needed = needed_libraries(folder / _LIBRARY)
    except (OSError, NotElfError) as error:
        return (failed("libraries", str(error), "pip install --force-reinstall onnxruntime-migraphx"),)
    return judge_libraries(look_for(needed))


def _judge_driver(*, is_there: bool) -> Check:
    if is_there:
        return ok(str(_DRIVER), "the kernel's driver for AMD GPUs is there")
    mend = "install the amdgpu driver; in a container pass the GPU (`--device /dev/kfd --device /dev/dri`)"
    return failed(str(_DRIVER), f"{_DRIVER} is missing", mend)


BACKEND: Backend = MiGraphXBackend()
