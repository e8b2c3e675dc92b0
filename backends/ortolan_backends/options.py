"""Options of a provider: their schema, how they are read, and how ONNX Runtime wants them written.

A backend declares its options once, as a frozen pydantic model. ONNX Runtime ignores or misreads many bad
options, so everything is validated here, before it sees any of them.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.config import JsonDict
from pydantic.fields import FieldInfo

from ortolan_backends.errors import InvalidOption
from ortolan_backends.forbidden_keys import FORBIDDEN_KEYS

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from ortolan_backends.contract import Backend

__all__ = ["FORBIDDEN_KEYS", "OptionDoc", "ProviderOptions", "Size", "describe", "encode", "option", "parse_options"]

_UNIT_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(" + "|".join(_UNIT_BYTES) + r")")
_SIZE_FORMAT = "size"

T = TypeVar("T")


def _size_bytes(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value)
    if match is None:
        raise ValueError("not a size")
    return int(Decimal(match[1]) * _UNIT_BYTES[match[2]])  # exact, as float is not


Size = Annotated[
    int,
    Field(ge=0, lt=1 << 63),
    BeforeValidator(_size_bytes),
    WithJsonSchema({"type": ["integer", "string"], "format": _SIZE_FORMAT, "minimum": 0, "pattern": _SIZE.pattern}),
]
"""A number of bytes, or a text such as "8GiB" or "512 MB"."""


class ProviderOptions(BaseModel):
    """The base of every schema. Each field is declared with `option()`; a field set to None is not set."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    true_word: ClassVar[str] = "1"
    false_word: ClassVar[str] = "0"
    """How this family spells booleans."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 - pydantic's signature
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if not isinstance(field.json_schema_extra, dict) or "onnxruntime_key" not in field.json_schema_extra:
                raise TypeError(f"{cls.__name__}.{name} is not declared with option()")
            why = FORBIDDEN_KEYS.get(_key(field).lower())
            if why:
                raise TypeError(f"{cls.__name__}.{name}: no schema may have {_key(field)}, since {why}")


@dataclass(frozen=True, slots=True)
class OptionDoc:
    """One option, described for people."""

    name: str
    """The key in `model.toml`."""
    onnxruntime_key: str
    type: str
    """`integer`, `number`, `boolean`, `text`, `size` or `table`."""
    default: str
    """As it would be written in `model.toml`; empty: no value."""
    unit: str
    allowed: str
    """`a, b or c`, `>= 0`, …; empty: anything of the type."""
    documentation: str


def option(  # noqa: PLR0913 - an option has that many sides
    default: T,
    *,
    key: str,
    doc: str,
    unit: str = "",
    allowed: str = "",
    ge: float | None = None,
    le: float | None = None,
    pattern: str | None = None,
    spelling: Mapping[str, str] | None = None,
) -> T:
    """Declares a field of a schema.

    `default` is ONNX Runtime's own, `key` the name ONNX Runtime knows the option by, `doc` a sentence for
    the user. `allowed` describes the values where the type, `ge` and `le` do not, such as the form that a
    `pattern` asks for. `spelling` holds ONNX Runtime's word for each of ours where they differ.
    """
    words: JsonDict = dict(spelling or {})
    extra: JsonDict = {"onnxruntime_key": key, "unit": unit, "allowed": allowed, "spelling": words}
    return Field(default, description=doc, ge=ge, le=le, pattern=pattern, json_schema_extra=extra)


def parse_options(backend: "Backend", mapping: Mapping[str, object]) -> ProviderOptions:
    """`mapping` (a rung of `model.toml` without its `provider`) as options of `backend`.

    Raises InvalidOption, which names provider, key, value and what is allowed, for all faults at once.
    """
    try:
        return backend.options.model_validate(dict(mapping))
    except ValidationError as error:
        docs = {doc.name: doc for doc in describe(backend.options)}
        complaints = dict.fromkeys(_complaint(details, docs) for details in error.errors(include_url=False))
        raise InvalidOption(f"{backend.name}: {'; '.join(complaints)}") from error


def encode(options: ProviderOptions) -> dict[str, str]:
    """What was set explicitly, by ONNX Runtime's keys and in its spelling; sizes in bytes."""
    texts = {}
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        if name in options.model_fields_set and value is not None:
            text = _text(value, options)
            texts[_key(field)] = _extra(field)["spelling"].get(text, text)
    return texts


def describe(options_type: type[ProviderOptions]) -> tuple[OptionDoc, ...]:
    """All options of a schema, in its order."""
    properties: dict[str, dict[str, Any]] = options_type.model_json_schema().get("properties", {})
    return tuple(_describe(name, schema) for name, schema in properties.items())


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _key(field: FieldInfo) -> str:
    return str(_extra(field)["onnxruntime_key"])


def _text(value: object, options: ProviderOptions) -> str:
    if isinstance(value, bool):
        return options.true_word if value else options.false_word
    if isinstance(value, Mapping):
        return json.dumps(value, separators=(",", ":"))
    return str(value)


def _describe(name: str, schema: dict[str, Any]) -> OptionDoc:
    # An optional field is `anyOf` of its type and null.
    alternatives = [other for other in schema.get("anyOf", [schema]) if other.get("type") != "null"]
    core = {**schema, **alternatives[0]}
    default = schema.get("default")
    return OptionDoc(
        name=name,
        onnxruntime_key=schema["onnxruntime_key"],
        type=_type(core),
        default="" if default is None else json.dumps(default),
        unit=schema["unit"],
        allowed=schema["allowed"] or _allowed(core),
        documentation=schema["description"],
    )


def _type(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == _SIZE_FORMAT:
        return "size"
    return {"integer": "integer", "number": "number", "boolean": "boolean", "object": "table"}.get(
        schema.get("type", ""), "text"
    )


def _allowed(schema: Mapping[str, Any]) -> str:
    words = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if words:
        return _either(words)
    if schema.get("format") == _SIZE_FORMAT:
        return 'a number of bytes or a text such as "8GiB"'
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f">= {low}"
    return "" if high is None else f"<= {high}"


def _either(words: Iterable[object]) -> str:
    *first, last = [str(word) for word in words]
    return f"{', '.join(first)} or {last}" if first else last


def _complaint(details: "ErrorDetails", docs: Mapping[str, OptionDoc]) -> str:
    message = details["msg"].removeprefix("Value error, ")
    if not details["loc"]:
        return message
    name = str(details["loc"][0])
    if name not in docs:
        return _unknown(name, docs)
    shown = f"{'.'.join(map(str, details['loc']))} = {json.dumps(details['input'], default=str)} is refused"
    if details["type"] == "value_error" and docs[name].type != "size":
        return f"{shown}: {message}"
    if len(details["loc"]) > 1:  # within a table
        return f"{shown}: {message[:1].lower()}{message[1:]}"
    return f"{shown}: it takes {_wanted(docs[name])}"


def _wanted(doc: OptionDoc) -> str:
    if doc.type == "boolean":
        return "true or false"
    if doc.type == "size":
        return doc.allowed
    kind = {"integer": "an integer", "number": "a number", "text": "a text", "table": "a table"}[doc.type]
    unit = f" in {doc.unit}" if doc.unit else ""
    return f"{kind}{unit}{': ' if doc.allowed else ''}{doc.allowed}"


def _unknown(name: str, docs: Mapping[str, OptionDoc]) -> str:
    why = FORBIDDEN_KEYS.get(name.lower())
    if why:
        return f"{name} cannot be set, since {why}"
    by_key = {doc.onnxruntime_key: doc.name for doc in docs.values()}
    close = get_close_matches(name, [*docs, *by_key], n=1)
    if close:
        return f"it has no option {name}; did you mean {by_key.get(close[0], close[0])}?"
    return f"it has no option {name}; it has {', '.join(docs) or 'none'}"
