"""`input` and `output`: what the model is said to take and give, which is checked when it is loaded."""

from ortolan.inference import model_config_pb2 as pb
from ortolan_server.repository.triton.fields import item
from ortolan_server.repository.triton.notes import Ledger
from ortolan_server.tensors.wording import shape_text

__all__ = ["datatype_name", "read_signature"]

_Tensor = pb.ModelInput | pb.ModelOutput


def read_signature(config: pb.ModelConfig, ledger: Ledger) -> dict[str, object]:
    """`[[input]]` and `[[output]]` of the model.toml."""
    batch = [-1] if config.max_batch_size else []
    inputs = [_tensor(item("input", index), one, batch, ledger) for index, one in enumerate(config.input)]
    outputs = [_tensor(item("output", index), one, batch, ledger) for index, one in enumerate(config.output)]
    for index, one in enumerate(config.input):
        _note_input(item("input", index), one, ledger)
    for index, output in enumerate(config.output):
        if output.label_filename:
            key = f"{item('output', index)}.label_filename"
            ledger.not_honoured(key, output.label_filename, "classes are answered as value:index, without a label")
    for name, given in (("batch_input", config.batch_input), ("batch_output", config.batch_output)):
        if given:
            ledger.refuse(name, "the server would have to make or deal out tensors of a batch, and does not")
    return {name: tensors for name, tensors in (("input", inputs), ("output", outputs)) if tensors}


def datatype_name(data_type: pb.DataType.ValueType) -> str:
    """The protocol's name, e.g. FP32; empty for none."""
    name = pb.DataType.Name(data_type).removeprefix("TYPE_")
    return {"INVALID": "", "STRING": "BYTES"}.get(name, name)


def _tensor(key: str, tensor: _Tensor, batch: list[int], ledger: Ledger) -> dict[str, object]:
    datatype = datatype_name(tensor.data_type)
    if not tensor.name:
        ledger.refuse(f"{key}.name", "is missing")
    if not datatype:
        ledger.refuse(f"{key}.data_type", "is missing")
    shape = batch + list(tensor.dims)
    said = f"{datatype}{shape_text([None if size == -1 else size for size in shape])}"
    parts = ("name", "data_type", "dims")
    ledger.honoured(key, f"{tensor.name} {said}", "the model is refused if it contradicts", parts=parts)
    if tensor.HasField("reshape"):
        _reshape(f"{key}.reshape", tensor, ledger)
    return {"name": tensor.name, "datatype": datatype, "shape": shape}


def _reshape(key: str, tensor: _Tensor, ledger: Ledger) -> None:
    inner, outer = list(tensor.reshape.shape), list(tensor.dims)
    if inner == outer:
        ledger.honoured(key, inner, "the same as dims")
        return
    ledger.refuse(
        key,
        f"the model has {inner} where callers have {outer}, and tensors are not reshaped here; put a Reshape into the "
        "model, or the model's own shape into dims",
    )


def _note_input(key: str, tensor: pb.ModelInput, ledger: Ledger) -> None:
    if tensor.format:
        name = pb.ModelInput.Format.Name(tensor.format)
        ledger.honoured(f"{key}.format", name, "a description, which changes nothing in Triton either")
    if tensor.optional:
        ledger.not_honoured(f"{key}.optional", True, "the model itself says which inputs may be left out")
    if tensor.allow_ragged_batch:
        ledger.not_honoured(f"{key}.allow_ragged_batch", True, "only inferences with equal shapes are joined")
