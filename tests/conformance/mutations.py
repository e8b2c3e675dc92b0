"""Models with faults that nobody thought of: bytes or fields of good ones, changed by a seed."""

import random
from collections.abc import Iterator
from typing import Any, cast

import onnx
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import Message

__all__ = ["mutated"]

_INTEGERS = (0, -1, 1, 2, 3, 7, 100, 2**31 - 1, -(2**31), 2**40, 2**63 - 1, -(2**63))
_FLOATS = (0.0, -1.0, 1e38, float("nan"), float("inf"))
_OPERATORS = ("If", "Loop", "Scan", "Gather", "Slice", "Reshape", "Resize", "Conv", "Div", "Mod", "TfIdfVectorizer")
_BITS = {Field.CPPTYPE_INT32: (-(2**31), 2**31 - 1), Field.CPPTYPE_INT64: (-(2**63), 2**63 - 1)}


def mutated(good: onnx.ModelProto, seed: int) -> bytes:
    """Always the same for a seed: even ones change bytes of the file, odd ones fields of the graph."""
    chance = random.Random(seed)  # noqa: S311 - the same each time
    return _fields(good, chance) if seed % 2 else _bytes(good.SerializeToString(), chance)


def _bytes(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place, length = chance.randrange(len(changed)), chance.randrange(1, 32)
        match chance.randrange(5):
            case 0:
                changed[place] ^= 1 << chance.randrange(8)
            case 1:
                changed[place] = chance.randrange(256)
            case 2:
                del changed[place : min(place + length, len(changed) - 1)]
            case 3:
                changed[place:place] = changed[place : place + length]
            case _:
                changed[place : place + 4] = chance.choice((b"\xff", b"\x00", b"\x7f", b"\x80")) * 4
    return bytes(changed)


def _fields(good: onnx.ModelProto, chance: random.Random) -> bytes:
    proto = onnx.ModelProto()
    proto.CopyFrom(good)
    names = [name for node in proto.graph.node for name in (*node.input, *node.output)]
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        _change(chance.choice(list(_messages(proto.graph))), chance, (*names, *_OPERATORS, ""))
    return proto.SerializeToString()


def _messages(message: Message) -> Iterator[Message]:
    yield message
    for field, value in message.ListFields():
        if field.message_type:
            for child in value if field.is_repeated else (value,):
                yield from _messages(child)


def _change(message: Message, chance: random.Random, names: tuple[str, ...]) -> None:
    fields = message.ListFields()
    children = [value for field, value in fields if field.message_type and field.is_repeated]
    plain = [(field, value) for field, value in fields if not field.message_type]
    if children and (not plain or chance.random() < 0.3):
        _change_children(chance.choice(children), chance)
    elif plain:
        field, value = chance.choice(plain)
        if not field.is_repeated:
            setattr(message, field.name, _other(field, value, chance, names))
        elif chance.random() < 0.3:
            del value[chance.randrange(len(value))]
        else:
            place = chance.randrange(len(value))
            value[place] = _other(field, value[place], chance, names)


def _change_children(children: Any, chance: random.Random) -> None:
    if chance.random() < 0.5:
        del children[chance.randrange(len(children))]
    else:
        children.add().CopyFrom(children[0])


def _other(field: Any, value: Any, chance: random.Random, names: tuple[str, ...]) -> object:
    """Another value that the field can hold."""
    if field.cpp_type in _BITS:
        least, most = _BITS[field.cpp_type]
        return min(most, max(least, chance.choice((*_INTEGERS, value + 1, value - 1))))
    if field.cpp_type == Field.CPPTYPE_ENUM:
        return chance.choice([known.number for known in field.enum_type.values])
    if field.cpp_type in (Field.CPPTYPE_FLOAT, Field.CPPTYPE_DOUBLE):
        return chance.choice(_FLOATS)
    if isinstance(value, bytes):
        return value[: chance.randrange(len(value) + 1)] if chance.random() < 0.5 else chance.randbytes(len(value))
    if isinstance(value, str):
        return chance.choice((*names, f"{value}x"))
    return cast("object", value)
