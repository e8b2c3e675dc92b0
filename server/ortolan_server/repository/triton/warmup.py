"""`model_warmup`: runs that are made before the model is served."""

from collections.abc import Mapping

from ortolan.inference import model_config_pb2 as pb
from ortolan_server.repository.triton.fields import at, item
from ortolan_server.repository.triton.notes import Ledger

__all__ = ["read_warmup"]

_KEY = "model_warmup"


def read_warmup(config: pb.ModelConfig, recorded: Mapping[str, str], ledger: Ledger) -> list[dict[str, object]]:
    """`[[warmup]]` of the model.toml. `recorded` has `.npy` files for recorded inputs, by the key of the setting."""
    batched, joined = bool(config.max_batch_size), config.HasField("dynamic_batching")
    samples = []
    for index, sample in enumerate(config.model_warmup):
        key = item(_KEY, index)
        document = _sample(key, sample, ledger, batched=batched, joined=joined)
        batch = [max(sample.batch_size, 1)] if batched else []
        document["inputs"] = {
            name: _input(at(f"{key}.inputs", name), given, batch, recorded, ledger)
            for name, given in sorted(sample.inputs.items())
        }
        samples.append(document)
    return samples


def _sample(key: str, sample: pb.ModelWarmup, ledger: Ledger, *, batched: bool, joined: bool) -> dict[str, object]:
    """The shapes tell the rows; where inferences are joined they would be run at every size of a batch without more."""
    rows = max(sample.batch_size, 1)
    if not batched and rows > 1:
        ledger.refuse(f"{key}.batch_size", f"must be 1 with max_batch_size 0, not {rows}")
    document: dict[str, object] = {"runs": max(sample.count, 1)}
    if sample.name:
        document["name"] = sample.name
        ledger.honoured(f"{key}.name", sample.name, "name of the [[warmup]]")
    if batched and joined:
        document["batch_sizes"] = [rows]
    if sample.batch_size:
        ledger.honoured(
            f"{key}.batch_size", sample.batch_size, f"its inputs have {rows} rows" if batched else "one run"
        )
    if sample.count:
        ledger.honoured(f"{key}.count", sample.count, f"runs = {sample.count}")
    return document


def _input(
    key: str, given: pb.ModelWarmup.Input, batch: list[int], recorded: Mapping[str, str], ledger: Ledger
) -> dict[str, object]:
    shape, file_key = batch + list(given.dims), f"{key}.input_data_file"
    if file := recorded.get(file_key):
        parts = ("dims", "data_type", "input_data_file")
        ledger.translated(key, given.input_data_file, f'file = "{file}", of shape {shape}', parts=parts)
        return {"file": file}
    data = "zeros" if given.WhichOneof("input_data_type") == "zero_data" else "random"
    text = f'shape = {shape}, data = "{data}"'
    ledger.honoured(key, "", text, parts=("dims", "data_type", "zero_data", "random_data"))
    if given.input_data_file:
        ledger.not_honoured(file_key, given.input_data_file, "random values take its place")
    return {"shape": shape, "data": data}
