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

# Of one tensor: ONNX Runtime makes it a part of the model, and Protocol Buffers count in an int32.
_LARGEST = 2**31 - 1


@contextmanager
def weights_in_memory(options: Any, model: ModelFile) -> Iterator[None]:  # noqa: ANN401 - onnxruntime has no types
    """A session that opens with `options` in this block keeps no map of the model's initializers.

    Values of its Constant nodes are among them. Those of subgraphs and of other attributes are mapped all the same:
    ONNX Runtime has no other way for them. Nothing is taken where a tensor is too large for that, nor where a file
    cannot be read or leads out of the model's folder: ONNX Runtime says what is wrong with it.
    """
    with ExitStack() as opened:
        maps = _maps(model, opened)
        if maps:
            lengths = [len(each) for each in maps.values()]
            options.add_external_initializers_from_files_in_memory(list(maps), list(maps.values()), lengths)
        yield


def _maps(model: ModelFile, opened: ExitStack) -> dict[str, mmap.mmap]:
    """By location; all or none, as ONNX Runtime wants all of them."""
    maps: dict[str, mmap.mmap] = {}
    folder = model.path.parent
    root = folder.resolve()
    try:
        for data in _external_data(model.proto.graph):
            location = data.get("location", "")
            if location not in maps:
                path = folder / location
                if not path.resolve().is_relative_to(root):
                    return {}
                with path.open("rb") as file:
                    maps[location] = opened.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            if (int(data.get("length", 0)) or len(maps[location])) > _LARGEST:
                return {}
    except (OSError, ValueError):  # ValueError: an empty file has nothing to map
        return {}
    return maps


def _external_data(graph: onnx.GraphProto) -> Iterator[dict[str, str]]:
    """Of each initializer that has some: where it lies."""
    for tensor in _initializers(graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield {entry.key: entry.value for entry in tensor.external_data}


def _initializers(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """What ONNX Runtime takes for initializers of a graph."""
    yield from graph.initializer
    for node in graph.node:
        if node.op_type == "Constant":
            yield from (attribute.t for attribute in node.attribute)
