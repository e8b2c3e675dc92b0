"""What the model is, which of its files is meant, and what no model here can be."""

from ortolan.inference import model_config_pb2 as pb
from ortolan_server.repository.names import file_fault
from ortolan_server.repository.triton.notes import Ledger

__all__ = ["read_identity", "read_versions"]

_PLATFORM, _BACKEND = "onnxruntime_onnx", "onnxruntime"
_SERVED = "only ONNX models are served: platform onnxruntime_onnx, backend onnxruntime"


def read_identity(config: pb.ModelConfig, model: str, ledger: Ledger) -> dict[str, object]:
    """`file` of the model.toml. `model` is the name of the folder."""
    if config.name and config.name != model:
        ledger.refuse("name", f"is {config.name!r}, and the model's folder is {model!r}; both must be the same")
    elif config.name:
        ledger.honoured("name", config.name, "that of the folder")
    for key, given, served in (("platform", config.platform, _PLATFORM), ("backend", config.backend, _BACKEND)):
        if given and given != served:
            ledger.refuse(key, f"is {given!r}, and {_SERVED}")
        elif given:
            ledger.honoured(key, given, "an ONNX model")
    _refuse_what_is_not_served(config, ledger)
    file = config.default_model_filename
    if not file:
        return {}
    if fault := file_fault(file):
        ledger.refuse("default_model_filename", fault)
        return {}
    ledger.honoured("default_model_filename", file, f'file = "{file}"')
    return {"file": file}


def read_versions(config: pb.ModelConfig, ledger: Ledger) -> dict[str, object]:
    """`[versions]` of the model.toml."""
    policy = config.version_policy
    match policy.WhichOneof("policy_choice"):
        case "latest":
            latest = max(policy.latest.num_versions, 1)
            ledger.honoured("version_policy.latest", latest, f"versions.latest = {latest}")
            return {"versions": {"latest": latest}}
        case "all":
            ledger.honoured("version_policy.all", "{}", "versions.all = true")
            return {"versions": {"all": True}}
        case "specific":
            specific = list(policy.specific.versions)
            ledger.honoured("version_policy.specific", specific, f"versions.specific = {specific}")
            return {"versions": {"specific": specific}}
    return {}


def _refuse_what_is_not_served(config: pb.ModelConfig, ledger: Ledger) -> None:
    if config.HasField("sequence_batching"):
        ledger.refuse("sequence_batching", "sequences are not served: no request is kept together with another one")
    if config.HasField("ensemble_scheduling"):
        ledger.refuse("ensemble_scheduling", "ensembles are not served")
    if config.model_transaction_policy.decoupled:
        ledger.refuse("model_transaction_policy.decoupled", "each request is answered once")
    elif config.HasField("model_transaction_policy"):
        ledger.honoured("model_transaction_policy", "", "each request is answered once")
    if libraries := list(config.model_operations.op_library_filename):
        ledger.refuse(
            "model_operations.op_library_filename",
            f"{', '.join(libraries)}: libraries of operators are not loaded, since they are code",
        )
    if config.HasField("response_cache") and not config.response_cache.enable:
        ledger.honoured("response_cache", "", "answers are not cached")
