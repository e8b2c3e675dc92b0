"""Keys and values as TOML has them."""

import json
import re
from collections.abc import Mapping

__all__ = ["toml_pairs", "toml_value"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_value(value: object) -> str:
    """On one line; of a mapping what is not None. Raises TypeError for what TOML has no word for."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return _text(value)
        case int() | float():
            return str(value)
        case Mapping():
            return f"{{ {', '.join(toml_pairs(value))} }}" if value else "{}"
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
    raise TypeError(f"TOML has no word for {value!r}")


def toml_pairs(table: Mapping[str, object]) -> list[str]:
    """`key = value` of each entry that is not None."""
    return [f"{_key(key)} = {toml_value(value)}" for key, value in table.items() if value is not None]


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    """As TOML's basic string, whose escapes are JSON's; but it wants DEL escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
