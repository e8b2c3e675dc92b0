"""`parameters` and `optimization.graph`: what Triton's backend hands to ONNX Runtime's session and to CUDA."""

import json
from collections.abc import Mapping

from ortolan.inference import model_config_pb2 as pb
from ortolan_server.repository.triton.fields import at
from ortolan_server.repository.triton.notes import Ledger
from ortolan_server.repository.triton.options import OptionTexts

__all__ = ["read_cuda_parameters", "read_session_options"]

_KEY = "parameters"
# Triton's parameter → ONNX Runtime's key.
_SESSION_KEYS = {
    "intra_op_thread_count": "intra_op_num_threads",
    "execution_mode": "execution_mode",
    "enable_mem_arena": "enable_cpu_mem_arena",
    "enable_mem_pattern": "enable_mem_pattern",
}
_INTER_OP = "inter_op_thread_count"
_MODES = {"0": "ORT_SEQUENTIAL", "1": "ORT_PARALLEL"}
_LEVELS = {-1: "basic", 0: "all", 1: "extended", 2: "disabled"}
_CUDA_WORDS: Mapping[str, Mapping[str, str]] = {
    "arena_extend_strategy": {"0": "kNextPowerOfTwo", "1": "kSameAsRequested"},
    "cudnn_conv_algo_search": {"0": "EXHAUSTIVE", "1": "HEURISTIC", "2": "DEFAULT"},
    "do_copy_in_default_stream": {},
    "gpu_mem_limit": {},
}
_NO_LIMIT = str(2**64 - 1)


def read_session_options(config: pb.ModelConfig, cpu: OptionTexts, ledger: Ledger) -> dict[str, object]:
    """Options of the rung `cpu`, which are those of the whole session."""
    texts = {name: parameter.string_value for name, parameter in config.parameters.items()}
    options: dict[str, object] = {}
    for name, text in sorted(texts.items()):
        key = _SESSION_KEYS.get(name, name if "." in name else "")
        if not key:
            continue
        if name == "execution_mode" and text not in _MODES:
            ledger.refuse(at(_KEY, name), f'must be "0" or "1", not {json.dumps(text)}')
            continue
        options |= _read(cpu, key, name, _MODES[text] if name == "execution_mode" else text, text, ledger)
    if _INTER_OP in texts:
        options |= _inter_op(texts[_INTER_OP], options, cpu, ledger)
    return options | _level(config, ledger)


def read_cuda_parameters(config: pb.ModelConfig, cuda: OptionTexts, ledger: Ledger) -> dict[str, object]:
    """Options of the rung `cuda` that stand among the parameters of the model: Triton's older way to write them."""
    options: dict[str, object] = {}
    for name, words in _CUDA_WORDS.items():
        if name not in config.parameters:
            continue
        text = config.parameters[name].string_value
        if name == "gpu_mem_limit" and text == _NO_LIMIT:
            ledger.honoured(at(_KEY, name), text, "no limit is the default")
        else:
            options |= _read(cuda, name, name, words.get(text, text), text, ledger)
    return options


def _read(  # noqa: PLR0913 - what ONNX Runtime, Triton and the file call it
    texts: OptionTexts, key: str, name: str, word: str, text: str, ledger: Ledger
) -> dict[str, object]:
    """`word` is ONNX Runtime's for `text`, which stands in the file."""
    try:
        found = texts.read(key, word)
    except ValueError as error:
        ledger.refuse(at(_KEY, name), f"{error}, not {json.dumps(text)}")
        return {}
    if found is None:
        return {}
    ledger.honoured(at(_KEY, name), text, f"{found[0]} = {json.dumps(found[1])} of the rung {texts.provider}")
    return dict([found])


def _inter_op(text: str, options: Mapping[str, object], cpu: OptionTexts, ledger: Ledger) -> dict[str, object]:
    if options.get("execution_mode") == "parallel":
        return _read(cpu, "inter_op_num_threads", _INTER_OP, text, text, ledger)
    ledger.not_honoured(at(_KEY, _INTER_OP), text, 'does nothing without execution_mode "1", in Triton neither')
    return {}


def _level(config: pb.ModelConfig, ledger: Ledger) -> dict[str, object]:
    if not config.optimization.HasField("graph"):
        return {}
    key, level = "optimization.graph.level", config.optimization.graph.level
    word = _LEVELS.get(level)
    if word is None:
        ledger.refuse(key, f"must be one of {', '.join(map(str, _LEVELS))}, not {level}")
        return {}
    ledger.honoured(key, level, f"optimization_level = {json.dumps(word)} of the rung cpu")
    return {"optimization_level": word}
