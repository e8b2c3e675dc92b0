"""Recorded inputs of warm-up samples: raw values of one row in Triton's files, `.npy` files here."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ortolan.inference import model_config_pb2 as pb
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.external_data import location_fault
from ortolan_server.repository.triton.fields import at, item
from ortolan_server.repository.triton.signature import datatype_name
from ortolan_server.tensors import DATATYPES

__all__ = ["FOLDER", "RecordedInput", "read_recorded", "recorded_inputs"]

FOLDER = "warmup"
# Texts have no fixed width, and numpy has no BF16.
_NOT_IN_NPY = ("", "BF16", "BYTES")


@dataclass(frozen=True, slots=True)
class RecordedInput:
    """One input of a sample."""

    key: str
    """Of the setting that names the file."""
    file: str
    """In the folder `warmup` of the model."""
    datatype: str
    shape: tuple[int, ...]
    """Of the row in the file."""
    rows: int | None
    """How often it is repeated along a first dimension more; None: the model has no batch."""


def recorded_inputs(config: pb.ModelConfig) -> Mapping[str, RecordedInput]:
    """Those that a `.npy` file can hold, by the path of that file below the model's folder."""
    found: dict[str, RecordedInput] = {}
    for index, sample in enumerate(config.model_warmup):
        rows = max(sample.batch_size, 1) if config.max_batch_size else None
        for name, given in sorted(sample.inputs.items()):
            datatype = datatype_name(given.data_type)
            if given.input_data_file and datatype not in _NOT_IN_NPY:
                key = at(f"{item('model_warmup', index)}.inputs", name) + ".input_data_file"
                target = f"{FOLDER}/{given.input_data_file}-{len(found) + 1}.npy"
                found[target] = RecordedInput(key, given.input_data_file, datatype, tuple(given.dims), rows)
    return found


def read_recorded(folder: Path, recorded: RecordedInput, source: str) -> NDArray[Any]:
    """Raises InvalidConfig, `<source>: <key>: …`, for a file that is not there, not inside, or of another size."""
    place = folder / FOLDER
    try:
        if fault := location_fault(recorded.file, place.resolve()):
            raise InvalidConfig(f"{source}: {recorded.key}: {recorded.file!r} {fault}")
        content = (place / recorded.file).read_bytes()
    except OSError as error:
        raise InvalidConfig(f"{source}: {recorded.key}: {recorded.file!r} cannot be read: {error.strerror}") from error
    wanted = prod(recorded.shape) * DATATYPES[recorded.datatype].item_size
    if any(size < 0 for size in recorded.shape) or len(content) != wanted:
        raise InvalidConfig(
            f"{source}: {recorded.key}: {recorded.file!r} has {len(content)} bytes; {recorded.datatype} of shape "
            f"{list(recorded.shape)} has {wanted}"
        )
    row = np.frombuffer(content, DATATYPES[recorded.datatype].dtype).reshape(recorded.shape)
    return row if recorded.rows is None else np.broadcast_to(row, (recorded.rows, *recorded.shape))
