"""A model.toml as text, which is read back as the same."""

import json
import re
from collections.abc import Iterable, Mapping

from ortolan_server.repository.config import ModelToml
from ortolan_server.repository.names import printable_name

__all__ = ["model_toml_text"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def model_toml_text(config: ModelToml, comments: Iterable[str] = ()) -> str:
    """What was set of a configuration, in the order of its fields, below a line for each comment.

    `parse_model_toml(tomllib.loads(text))` is equal to it.
    """
    document = config.model_dump(exclude_unset=True, exclude_none=True)
    lines = [f"# {printable_name(comment)}" for comment in comments]
    for key, value in document.items():
        if not _is_table(value) and not _are_tables(value):
            lines.append(f"{_key(key)} = {_value(value)}")
    for key, value in document.items():
        if _is_table(value):
            lines += ["", f"[{_key(key)}]", *_pairs(value)]
        elif _are_tables(value):
            for table in value:
                lines += ["", f"[[{_key(key)}]]", *_pairs(table)]
    return "\n".join(lines).lstrip("\n") + "\n"


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _are_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_table, value))


def _pairs(table: Mapping[str, object]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None]


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _text(value)
        case int() | float():
            return str(value)
        case Mapping():
            return f"{{ {', '.join(_pairs(value))} }}" if value else "{}"
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
    raise TypeError(f"TOML has no word for {value!r}")


def _text(text: str) -> str:
    """TOML's basic strings are JSON's, but for one control character more that must be escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
