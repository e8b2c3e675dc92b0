"""Turns what pydantic found wrong into text that names the key, what is allowed and what came."""

import json
from collections.abc import Collection
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

__all__ = ["did_you_mean", "explain"]

_PLAIN = {
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "string_type": "must be a text in quotes",
    "tuple_type": "must be a list",
}
"""Where pydantic's own words speak of Python."""

_SHOWN_CHARACTERS = 80
_CLOSE = 0.7  # difflib's own 0.6 finds "chain" close to "batching"


def explain(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """One line for each finding, `<source>: <key>: <what is allowed>, not <what came>`.

    A field that has a title is called by it: so settings can be named by the flag that sets them. Items of a list
    are counted from 1, as rungs are everywhere: `chain[1]` is the first.
    """
    return "\n".join(f"{source}: {_line(detail, model)}" for detail in error.errors(include_url=False))


def did_you_mean(name: str, known: Collection[str], *, then: str = "") -> str:
    """`did you mean 'queue'?` and `then`, or nothing when no known name is close."""
    close = get_close_matches(name, known, n=1, cutoff=_CLOSE)
    return f"did you mean '{close[0]}'?{then}" if close else ""


def _line(detail: ErrorDetails, model: type[BaseModel]) -> str:
    key, known = _locate(detail["loc"], model)
    kind = detail["type"]
    if kind == "extra_forbidden":
        hint = did_you_mean(str(detail["loc"][-1]), known, then=" ")
        return f"{key}: unknown key; {hint}allowed: {', '.join(sorted(known))}"
    if kind == "missing":
        return f"{key}: is missing"
    if kind == "value_error":
        text = str(detail["ctx"]["error"])
    else:
        text = _PLAIN.get(kind) or detail["msg"].replace("Input should be", "must be")
        text = f"{text}, not {_show(detail['input'])}"
    return f"{key}: {text}" if key else text


def _locate(loc: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, Collection[str]]:
    """The key's path, and the keys that the table it lies in knows."""
    path = ""
    known: Collection[str] = ()
    inner: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):
            path += f"[{part + 1}]"
            continue
        fields = inner.model_fields if inner else {}
        known = fields.keys()
        field = fields.get(part)
        name = field.title if field and field.title else part
        path = f"{path}.{name}" if path else name
        inner = _model_within(field.annotation) if field else None
    return path, known


def _model_within(annotation: object) -> type[BaseModel] | None:
    """The model in `Model`, `Model | None` and `tuple[Model, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_within(argument) for argument in get_args(annotation))
    return next((model for model in found if model), None)


def _show(value: object) -> str:
    """The value as it would stand in the file, cut where it gets long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
