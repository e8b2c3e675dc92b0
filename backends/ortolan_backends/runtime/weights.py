"""Weights that lie beside a model file, taken into memory while its session opens.

ONNX Runtime maps them, and a session on the CPU goes on reading its map: a file that is written over in place then
changes its answers, and one that is cut short ends the process with SIGBUS. Given the files' bytes it copies what it
keeps (docs/decisions/0012-weights-in-memory.md).
"""

import mmap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import onnx

from ortolan_backends.runtime.model import ModelFile

__all__ = ["weights_in_memory"]


@contextmanager
def weights_in_memory(options: Any, model: ModelFile) -> Iterator[None]:  # noqa: ANN401 - onnxruntime has no types
    """A session that opens with `options` in this block keeps no map of the model's initializers.

    Those of subgraphs and of attributes are mapped all the same: ONNX Runtime has no other way for them. Where a file
    cannot be taken, or leads out of the model's folder, nothing is: ONNX Runtime says what is wrong with it.
    """
    with ExitStack() as opened:
        maps = _maps(model, opened)
        if maps:
            lengths = [len(each) for each in maps.values()]
            options.add_external_initializers_from_files_in_memory(list(maps), list(maps.values()), lengths)
        yield


def _maps(model: ModelFile, opened: ExitStack) -> dict[str, mmap.mmap]:
    """By location; all or none, as ONNX Runtime wants all of them."""
    maps = {}
    folder = model.path.parent
    root = folder.resolve()
    try:
        for location in sorted(_locations(model.proto.graph)):
            path = folder / location
            if not path.resolve().is_relative_to(root):
                return {}
            with path.open("rb") as file:
                maps[location] = opened.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError):  # ValueError: an empty file has nothing to map
        return {}
    return maps


def _locations(graph: onnx.GraphProto) -> set[str]:
    return {
        entry.value
        for tensor in graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
