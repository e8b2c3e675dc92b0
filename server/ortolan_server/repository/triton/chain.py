"""The chain of a model: from where its instances are, its accelerators, and the parameters of ONNX Runtime."""

from collections.abc import Iterable, Mapping

from ortolan.inference import model_config_pb2 as pb
from ortolan_backends.cpu import CpuOptions
from ortolan_backends.cuda import CudaOptions
from ortolan_backends.openvino import OpenVinoOptions
from ortolan_backends.tensorrt import NEEDED_OPTIONS, TensorRtOptions
from ortolan_server.repository.triton.devices import Device, read_instances
from ortolan_server.repository.triton.fields import at, item
from ortolan_server.repository.triton.notes import Ledger
from ortolan_server.repository.triton.options import OptionTexts
from ortolan_server.repository.triton.session import read_cuda_parameters, read_session_options

__all__ = ["read_chain"]

_KEY = "optimization.execution_accelerators"
_GPU_KEY, _CPU_KEY = f"{_KEY}.gpu_execution_accelerator", f"{_KEY}.cpu_execution_accelerator"
_ON_GPU = {"tensorrt": OptionTexts("tensorrt", TensorRtOptions), "cuda": OptionTexts("cuda", CudaOptions)}
_ON_CPU = {"openvino": OptionTexts("openvino", OpenVinoOptions)}
_CPU = OptionTexts("cpu", CpuOptions)
# Triton's names where they are not ONNX Runtime's.
_KEYS = {
    "max_workspace_size_bytes": "trt_max_workspace_size",
    "int8_calibration_table_name": "trt_int8_calibration_table_name",
    "int8_use_native_calibration_table": "trt_int8_use_native_calibration_table",
}
_PRECISIONS: Mapping[str, Mapping[str, object]] = {"FP32": {}, "FP16": {"fp16": True}, "INT8": {"int8": True}}

Rung = dict[str, object]
_Accelerator = pb.ModelOptimizationPolicy.ExecutionAccelerators.Accelerator


def read_chain(config: pb.ModelConfig, ledger: Ledger) -> tuple[Rung, int]:
    """`chain` and, where it is needed, `require` of the model.toml; and how many runs it shall make at once.

    In Triton's order: accelerators for GPUs, CUDA, those for the CPU, the CPU. Without [require] the first rung serves
    or nothing does; only where the instances may be on either device, both are allowed.
    """
    accelerators = config.optimization.execution_accelerators
    instances = read_instances(config, wants_gpu=bool(accelerators.gpu_execution_accelerator), ledger=ledger)
    cpu: Rung = {"provider": "cpu", **read_session_options(config, _CPU, ledger)}
    on_cpu = [*_read_accelerators(accelerators.cpu_execution_accelerator, _CPU_KEY, _ON_CPU, ledger), cpu]
    if instances.device is Device.CPU:
        _refuse_all(accelerators.gpu_execution_accelerator, ledger)
        return {"chain": on_cpu}, instances.count
    rungs = _read_accelerators(accelerators.gpu_execution_accelerator, _GPU_KEY, _ON_GPU, ledger)
    cuda = next((rung for rung in rungs if rung["provider"] == "cuda"), {"provider": "cuda"})
    cuda |= read_cuda_parameters(config, _ON_GPU["cuda"], ledger)
    rungs = [*(rung for rung in rungs if rung is not cuda), cuda]  # CUDA comes last, wherever it is named
    chain = [*({**rung, "device_id": instances.device_id} for rung in rungs), *on_cpu]
    if instances.device is Device.GPU:
        return {"chain": chain}, instances.count
    return {"chain": chain, "require": {"provider": ["cuda", on_cpu[0]["provider"]]}}, instances.count


def _refuse_all(accelerators: Iterable[_Accelerator], ledger: Ledger) -> None:
    for index, accelerator in enumerate(accelerators):
        ledger.refuse(
            item(_GPU_KEY, index),
            f"{accelerator.name} is for a GPU, and instance_group is on the CPU, where Triton leaves it out without a "
            "word; take one of the two out",
        )


def _read_accelerators(
    accelerators: Iterable[_Accelerator],
    path: str,
    known: Mapping[str, OptionTexts],
    ledger: Ledger,
) -> list[Rung]:
    rungs: list[Rung] = []
    for index, accelerator in enumerate(accelerators):
        key, name = item(path, index), accelerator.name
        if name not in known:
            ledger.refuse(f"{key}.name", f"no accelerator {name!r} is known here; known: {', '.join(known)}")
            continue
        if any(rung["provider"] == name for rung in rungs):
            ledger.refuse(f"{key}.name", f"{name} is named twice; a session takes each provider once")
            continue
        ledger.honoured(f"{key}.name", name, f"a rung of the chain, which is refused where {name} does not run")
        parameters = dict(accelerator.parameters)
        options = _precision(parameters, key, ledger) if name == "tensorrt" else {}
        _drop_useless(parameters, options, key, known[name], ledger)
        rungs.append({"provider": name, **options, **known[name].note(f"{key}.parameters", parameters, _KEYS, ledger)})
    return rungs


def _precision(parameters: dict[str, str], key: str, ledger: Ledger) -> Rung:
    """Takes `precision_mode` out of the parameters: two of ONNX Runtime's options in one."""
    mode = parameters.pop("precision_mode", None)
    if mode is None:
        return {}
    place = at(f"{key}.parameters", "precision_mode")
    if mode not in _PRECISIONS:
        ledger.refuse(place, f"must be {', '.join(_PRECISIONS)}, not {mode!r}")
        return {}
    options = dict(_PRECISIONS[mode])
    said = "".join(f"{name} = true of the rung tensorrt" for name in options) or "FP32 is the default"
    ledger.honoured(place, mode, said)
    return options


def _drop_useless(parameters: dict[str, str], options: Rung, key: str, texts: OptionTexts, ledger: Ledger) -> None:
    """Takes out what other settings decide, and what does nothing for want of another: Triton lets both pass."""
    ours = {name: texts.known(_KEYS.get(name, name)) for name in parameters}
    given = {ours[name] for name, text in parameters.items() if text.lower() in ("1", "true")} | options.keys()
    for name, text in list(parameters.items()):
        needed = NEEDED_OPTIONS.get(ours[name], "") if texts.provider == "tensorrt" else ""
        if ours[name] == "device_id":
            why = "instance_group says which GPU"
        elif needed and needed not in given:
            why = f"does nothing without {needed} = true of the rung tensorrt"
        else:
            continue
        ledger.not_honoured(at(f"{key}.parameters", name), text, why)
        del parameters[name]
