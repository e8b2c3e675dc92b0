"""Turns what pydantic found wrong into text that names the key, what is allowed and what came."""

import json
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

__all__ = ["did_you_mean", "explain"]

_PLAIN = {
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "string_too_short": "must not be empty",
    "string_type": "must be a text in quotes",
    "too_short": "must not be empty",
    "tuple_type": "must be a list",
}
"""Where pydantic's own words speak of Python."""

_MUST = re.compile(r"(Input|String) should")
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
    key, known, inner = _locate(detail["loc"], model)
    kind = detail["type"]
    if kind == "extra_forbidden":
        hint = did_you_mean(str(detail["loc"][-1]), known, then=" ")
        return f"{key}: unknown key; {hint}allowed: {', '.join(sorted(known))}"
    if kind == "missing":
        return f"{key}: is missing"
    if kind == "tuple_type" and inner and isinstance(detail["input"], Mapping):
        text = f"must be a list of tables: write [[{key}]], not [{key}]"
    elif kind == "value_error":
        text = str(detail["ctx"]["error"])
    else:
        text = _PLAIN.get(kind) or _MUST.sub("must", detail["msg"])
        text = f"{text}, not {_show(detail['input'])}"
    return f"{key}: {text}" if key else text


def _locate(loc: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str, Collection[str], type[BaseModel] | None]:
    """The key's path, the keys that the table it lies in knows, and the table that it is or has a list of."""
    path = ""
    known: Collection[str] = ()
    inner: type[BaseModel] | None = model
    names_are_free = False
    for part in loc:
        if isinstance(part, int):
            path += f"[{part + 1}]"
            continue
        path = f"{path}.{part}" if path else part
        if names_are_free:  # a name of the file's own, as that of an input
            names_are_free = False
            continue
        fields = inner.model_fields if inner else {}
        known = fields.keys()
        field = fields.get(part)
        if field and field.title:
            path = f"{path.removesuffix(part)}{field.title}"
        inner = _model_within(field.annotation) if field else None
        names_are_free = field is not None and get_origin(field.annotation) is dict
    return path, known, inner


def _model_within(annotation: object) -> type[BaseModel] | None:
    """The model in `Model`, `Model | None`, `tuple[Model, ...]` and `dict[str, Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_within(argument) for argument in get_args(annotation))
    return next((model for model in found if model), None)


def _show(value: object) -> str:
    """The value as it would stand in the file, cut where it gets long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
