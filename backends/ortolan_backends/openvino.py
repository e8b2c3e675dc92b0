"""OpenVINO: Intel CPUs, GPUs and NPUs; its CPU device also runs on others."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, model_validator

from ortolan_backends.checks import check_session, check_wheel, failed, ok, skipped
from ortolan_backends.contract import Backend, Check, Device, NotCached, Outcome, Probe
from ortolan_backends.errors import OpenRefused
from ortolan_backends.openvino_cache import compiled_for, place_cache, writes_while_running
from ortolan_backends.openvino_plugin import attach_openvino_plugin, plugin_folder, probe_openvino_plugin
from ortolan_backends.options import ProviderOptions, encode, option
from ortolan_backends.runtime.openvino_devices import OpenVinoFinding, known_devices, look_at_openvino
from ortolan_backends.runtime.wheel import capi_folder, installed_wheels

if TYPE_CHECKING:
    from ortolan_backends.runtime.ort import onnxruntime

__all__ = ["BACKEND", "OpenVinoBackend", "OpenVinoOptions"]

_PROVIDER = "OpenVINOExecutionProvider"
_DEVICE = r"(?:CPU|GPU(?:\.\d+)?|NPU)"
_DEVICE_TYPE = rf"^(?:{_DEVICE}|AUTO|(?:AUTO|HETERO|MULTI):{_DEVICE}(?:,{_DEVICE})*)$"
_SHAPE = r"[^\[\],]+\[[^\[\]]+\]"
_PRECISIONS = {"CPU": ("FP32", "ACCURACY"), "NPU": ("FP16", "ACCURACY")}
_CONFIG_DEVICES = ("AUTO", "CPU", "GPU", "HETERO", "MULTI", "NPU")
# The GPU plugin compiles the kernels that such a file names.
_CONFIG_THAT_LOADS_CODE = "CONFIG_FILE"
_NOT_IN_NAMES = re.compile(r"[^A-Z_]")
_MAX_THREADS = 1024

DeviceProperties = Mapping[str, Mapping[str, object]]


def _device_properties(config: DeviceProperties) -> DeviceProperties:
    for device, properties in config.items():
        if device not in _CONFIG_DEVICES:
            raise ValueError(f"{device} is no device; a table of properties by {', '.join(_CONFIG_DEVICES)}")
        for name, value in properties.items():
            # OpenVINO takes a table of properties as a text too, to any depth, and drops the spaces in it.
            letters = _NOT_IN_NAMES.sub("", f"{name} {value}".upper())
            if _CONFIG_THAT_LOADS_CODE in letters:
                raise ValueError(f"{device}.{name}: {_CONFIG_THAT_LOADS_CODE} cannot be set, since it loads code")
            if not isinstance(value, bool | int | float | str):
                raise ValueError(f"{device}.{name} is no boolean, number or text")  # noqa: TRY004 - pydantic's way
    return config


class OpenVinoOptions(ProviderOptions):
    """The options of OpenVINOExecutionProvider, as its full wheel 1.24 takes them."""

    true_word: ClassVar[str] = "True"
    false_word: ClassVar[str] = "False"

    device_type: str = option(
        "CPU",
        key="device_type",
        pattern=_DEVICE_TYPE,
        allowed="CPU, GPU, GPU.<n>, NPU, AUTO, or AUTO:, HETERO: or MULTI: with a list of those",
        doc="The device, or a mode with the devices that it may choose from in order of priority.",
    )
    precision: Literal["FP32", "FP16", "ACCURACY"] | None = option(
        None,
        key="precision",
        doc="The precision of inference; ACCURACY keeps the model's own. Without it CPU takes FP32, GPU and NPU FP16. "
        "CPU cannot take FP16, NPU cannot take FP32.",
    )
    threads: int | None = option(
        None,
        key="num_of_threads",
        ge=1,
        le=_MAX_THREADS,
        doc="Threads of inference on CPU. Without it OpenVINO chooses.",
    )
    streams: int = option(
        1,
        key="num_streams",
        ge=1,
        le=8,
        doc="Runs that one compiled model may work on side by side; more streams give throughput, fewer latency.",
    )
    cache_dir: str | None = option(
        None,
        key="cache_dir",
        pattern=r"^[^\x00]+$",
        allowed="the path of a folder",
        doc="A folder of your own for compiled models. Without it Ortolan's cache keeps them, where OpenVINO can load "
        "them again.",
    )
    model_priority: Literal["LOW", "MEDIUM", "HIGH", "DEFAULT"] = option(
        "DEFAULT",
        key="model_priority",
        doc="Which models get the better device when several share them, in the mode AUTO.",
    )
    load_config: Annotated[DeviceProperties, AfterValidator(_device_properties)] | None = option(
        None,
        key="load_config",
        allowed='properties by device: { CPU = { PERFORMANCE_HINT = "THROUGHPUT" } }',
        doc="OpenVINO's own properties for each device; they override the other options.",
    )
    disable_dynamic_shapes: bool = option(
        False,
        key="disable_dynamic_shapes",
        doc="Compiles for the shapes of the first request, and again for each new one. NPU always does.",
    )
    reshape_input: str | None = option(
        None,
        key="reshape_input",
        pattern=rf"^{_SHAPE}(,{_SHAPE})*$",
        allowed='inputs with their shapes and bounds: "images[1,3,60..100,60..100]"',
        doc="Sets or bounds the dynamic dimensions of inputs; meant for NPU, which needs bounded shapes.",
    )
    layout: str | None = option(
        None,
        key="layout",
        pattern=rf"^{_SHAPE}(,{_SHAPE})*$",
        allowed='tensors with their layouts: "images[NCHW],scores[NC]"',
        doc="Tells what the dimensions of inputs and outputs mean.",
    )
    enable_qdq_optimizer: bool = option(
        False,
        key="enable_qdq_optimizer",
        doc="Removes quantisation nodes that NPU does not need.",
    )
    enable_opencl_throttling: bool = option(
        False,
        key="enable_opencl_throttling",
        doc="Spares the CPU while a GPU works, at the cost of latency.",
    )
    device_luid: str | None = option(
        None,
        key="device_luid",
        pattern=r"^[0-9A-Fa-f]+(,[0-9A-Fa-f]+)*$",
        allowed="hexadecimal identifiers, separated by commas",
        doc="Chooses GPUs by their locally unique identifiers, on Windows.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        precisions = _PRECISIONS.get(self.device_type)
        if self.precision and precisions and self.precision not in precisions:
            raise ValueError(
                f'precision = "{self.precision}" does not go with device_type = "{self.device_type}", which takes '
                f"{' or '.join(precisions)}"
            )
        return self


class OpenVinoBackend:
    """OpenVINO's compiled subgraphs."""

    name: str = "openvino"
    provider: str = _PROVIDER
    summary: str = (
        "Compiles the parts of a model that it supports for Intel CPUs, GPUs and NPUs; its CPU device runs anywhere."
    )
    compiles: bool = True
    options: type[ProviderOptions] = OpenVinoOptions

    def probe(self) -> Probe:
        wheel = check_wheel(_PROVIDER, "openvino", "'ortolan[openvino]'")
        folder = capi_folder()
        if wheel.outcome is Outcome.FAILED and folder is not None and plugin_folder() is not None:
            return probe_openvino_plugin(self.name)
        if wheel.outcome is Outcome.FAILED or folder is None:
            return Probe((wheel, *skipped(["devices", "session"], wheel.finding)))
        found = look_at_openvino(folder)
        devices = _judge_devices(found)
        if devices.outcome is Outcome.FAILED:
            (session,) = skipped(["session"], devices.finding)
        else:
            session = check_session("openvino", {}, "see ONNX Runtime's message, or reinstall onnxruntime-openvino")
        versions = {"onnxruntime": next(iter(installed_wheels().values())), "openvino": found.version}
        return Probe((wheel, devices, session), _devices(found), versions)

    def attach(self, session_options: "onnxruntime.SessionOptions", options: ProviderOptions) -> None:
        """Raises OpenRefused for a device that is not here: ONNX Runtime names it in its log only."""
        settings = encode(options)
        if not _is_full_wheel() and plugin_folder() is not None:
            attach_openvino_plugin(session_options, settings)
            return
        _require_devices(settings.get("device_type", "CPU"))
        session_options.add_provider(_PROVIDER, settings)

    def cache_in(self, options: ProviderOptions, folder: Path) -> ProviderOptions | NotCached:
        return place_cache(options, folder, capi_folder() if _is_full_wheel() else plugin_folder())

    def compiles_for(self, options: ProviderOptions, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        return compiled_for(options, devices)

    def writes_while_running(self, options: ProviderOptions) -> bool:
        return writes_while_running(options)


def _is_full_wheel() -> bool:
    folder = capi_folder()
    return folder is not None and any(folder.glob("*onnxruntime_providers_openvino.*"))


def _require_devices(device_type: str) -> None:
    folder = capi_folder()
    available = known_devices(folder or Path())
    if not available:
        return  # not known: ONNX Runtime decides
    for device in re.findall(_DEVICE, device_type):
        # The only GPU is called GPU; of several, GPU is the first.
        names = (device, f"{device}.0", device.removesuffix(".0"))
        if not any(name in available for name in names):
            raise OpenRefused(
                f"OpenVINO has no device {device} here; it has {', '.join(available)} (install Intel's driver for it; "
                "a container needs it too, and the device's node in /dev)",
                stage="attach",
            )


def _judge_devices(found: OpenVinoFinding) -> Check:
    if found.error:
        return failed("devices", found.error, "pip install --force-reinstall onnxruntime-openvino")
    if not found.devices:
        return failed("devices", "OpenVINO shows no device", "pip install --force-reinstall onnxruntime-openvino")
    return ok("devices", ", ".join(f"{name}: {full_name}" for name, full_name in found.devices))


def _devices(found: OpenVinoFinding) -> tuple[Device, ...]:
    return tuple(Device(name.partition(".")[0].lower(), name, full_name) for name, full_name in found.devices)


BACKEND: Backend = OpenVinoBackend()
