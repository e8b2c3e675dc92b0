"""Keeps a model's external data inside the folder the model lies in.

A model names the files of its weights itself, so a model from elsewhere could name any file of this machine and
give its content away through an output. ONNX Runtime refuses most of that, but not hard links.
"""

import stat
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import cast

import onnx
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from ortolan_server.errors import LoadFailed
from ortolan_server.repository.paths import path_fault

__all__ = ["check_external_data", "external_files", "location_fault"]

# ONNX Runtime takes the offset of such a location for an address in its own memory.
_MEMORY_ADDRESS_MARK = "_MEM_ADDR_"
_DIGITS = 18  # what fits in an int64


def check_external_data(model: onnx.ModelProto, folder: Path) -> None:
    """Raises LoadFailed, naming tensor and path, unless its external data is plain, whole files in `folder`.

    `model` is read with `load_external_data=False`; `folder` is the one in which its file is listed. That may be a
    link, as far as `links.py` allows; its data is looked up beside the link, as ONNX Runtime does. A data file is
    inside when, with all links followed on both sides, it lies in or below `folder`. This admits the mounts of
    Kubernetes, where `weights.bin` leads through `..data` to a folder beside it, and refuses stores that keep the data
    elsewhere, such as the blobs of a download cache.

    Looked at: every tensor of the model, in initializers (sparse ones too), attributes, subgraphs and functions.
    Not defended: someone who can change the folder between this check and ONNX Runtime's own reading.
    """
    root = folder.resolve()
    sizes: dict[str, int] = {}
    for place, tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        name = f"'{tensor.name}'{place}" if tensor.name else f"without a name{place}"
        locations = [entry.value for entry in tensor.external_data if entry.key == "location"]
        if len(locations) != 1:
            raise LoadFailed(f"external data of tensor {name}: has {len(locations)} locations, must have one")
        location = locations[0]
        if location not in sizes:
            if fault := location_fault(location, root):
                raise LoadFailed(f"external data of tensor {name}: {location!r} {fault}")
            sizes[location] = (root / location).stat().st_size
        if fault := _fault_of_extent(tensor, sizes[location]):
            raise LoadFailed(f"external data of tensor {name}: {location!r} {fault}")


def external_files(model: onnx.ModelProto) -> frozenset[str]:
    """Where the external data of `model` lies, as it says itself: relative to the folder of its file."""
    return frozenset(
        entry.value
        for _, tensor in _tensors(model)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    )


def location_fault(location: str, root: Path) -> str | None:
    """What is wrong with the location of a file that must lie in `root`, which has no links in it; or None."""
    return _fault_of_text(location) or _fault_of_file(location, root)


def _fault_of_text(location: str) -> str | None:
    if _MEMORY_ADDRESS_MARK in location:
        return "is a memory address of ONNX Runtime and must not be in a file"
    return path_fault(location)


def _fault_of_file(location: str, root: Path) -> str | None:
    try:
        target = (root / location).resolve(strict=True)
        status = target.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13.
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if not target.is_relative_to(root):
        return "is a link that leaves the model's folder"
    if not stat.S_ISREG(status.st_mode):
        return "is not a plain file"
    if status.st_nlink > 1:
        return "has hard links, of which one may lie outside the model's folder; copy the file instead"
    return None


def _fault_of_extent(tensor: onnx.TensorProto, size_bytes: int) -> str | None:
    """Of a file that was cut short, above all. Without a length, ONNX Runtime goes by the tensor's shape."""
    numbers = {entry.key: entry.value for entry in tensor.external_data if entry.key in ("offset", "length")}
    for key, text in numbers.items():
        if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
            return f"has the {key} {text[:_DIGITS]!r}; it must be a number of bytes"
    offset, length = int(numbers.get("offset", 0)), int(numbers.get("length", 0))
    if offset + length > size_bytes:
        return f"has {size_bytes} bytes, and the tensor is {length} bytes at offset {offset}; was it cut short?"
    return None


def _tensors(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """Every tensor with the place it is at: ` of node 'x' (Conv)`, or nothing for initializers of the model."""
    fields = _fields_to_tensors()
    waiting: list[tuple[str, Message]] = [("", model)]
    while waiting:
        place, message = waiting.pop()
        if isinstance(message, onnx.TensorProto):
            yield place, message
            continue
        if isinstance(message, onnx.NodeProto):
            place = f" of node '{message.name}' ({message.op_type})"
        for field in fields[message.DESCRIPTOR.full_name]:
            value = getattr(message, field)
            if not isinstance(value, Message):
                waiting.extend((place, child) for child in value)
            elif message.HasField(field):
                waiting.append((place, value))


@cache
def _fields_to_tensors() -> Mapping[str, tuple[str, ...]]:
    """Message type → its fields from which a tensor can be reached.

    Taken from ONNX's own description: fields that a later ONNX adds are covered without a change here.
    """
    types = _reachable(cast("Descriptor", onnx.ModelProto.DESCRIPTOR))  # its stub names an implementation, too
    leading = {onnx.TensorProto.DESCRIPTOR.full_name}
    while True:
        fields = {
            name: tuple(f.name for f in kind.fields if f.message_type and f.message_type.full_name in leading)
            for name, kind in types.items()
        }
        found = leading | {name for name, leads in fields.items() if leads}
        if found == leading:
            return MappingProxyType(fields)
        leading = found


def _reachable(start: Descriptor) -> dict[str, Descriptor]:
    types, waiting = dict[str, Descriptor](), [start]
    while waiting:
        kind = waiting.pop()
        if kind.full_name not in types:
            types[kind.full_name] = kind
            waiting.extend(field.message_type for field in kind.fields if field.message_type)
    return types
