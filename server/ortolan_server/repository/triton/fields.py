"""Every setting that a message has, by its path."""

import json
from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

__all__ = ["at", "item", "settings"]

_SCALARS = (bool, int, float, str, bytes)


def at(path: str, key: str) -> str:
    """The path of an entry of a map."""
    return f"{path}[{json.dumps(key, ensure_ascii=False)}]"


def item(path: str, index: int) -> str:
    """The path of an item of a list, `index` from 0."""
    return f"{path}[{index + 1}]"


def settings(message: Message, path: str = "") -> Iterator[tuple[str, str]]:
    """Path and value of each field that is set, innermost ones only. A message in which nothing is set is `{}`."""
    for field, value in message.ListFields():
        here = f"{path}.{field.name}" if path else field.name
        inner = field.message_type
        if inner is None:
            yield here, _scalar(field, value) if isinstance(value, _SCALARS) else _list(field, value)
        elif inner.GetOptions().map_entry:
            for key in sorted(value):
                yield from _of(inner.fields_by_name["value"], value[key], at(here, str(key)))
        elif isinstance(value, Message):
            yield from _of(field, value, here)
        else:
            for index, one in enumerate(value):
                yield from _of(field, one, item(here, index))


def _of(field: FieldDescriptor, value: object, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Message):
        yield path, _scalar(field, value)
    elif value.ListFields():
        yield from settings(value, path)
    else:
        yield path, "{}"


def _list(field: FieldDescriptor, values: Iterable[object]) -> str:
    return f"[{', '.join(_scalar(field, value) for value in values)}]"


def _scalar(field: FieldDescriptor, value: object) -> str:
    if field.enum_type is not None and isinstance(value, int):
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else str(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
