"""Operator types as a model.toml may name them."""

from collections.abc import Iterable

from onnx import defs

__all__ = ["check_operator_types"]


def check_operator_types(names: Iterable[str]) -> None:
    """Raises ValueError for a name that is surely a slip, such as `conv` or `Matmul`.

    That is one that ONNX does not know and that differs in case only from one that it knows. A misspelt operator
    would forbid nothing, and do so silently. Other unknown names pass: they can be of ONNX Runtime's own domains or
    of a custom one.
    """
    known = {schema.name for schema in defs.get_all_schemas()}
    by_folded_name = {name.casefold(): name for name in known}
    for name in names:
        if name not in known and name.casefold() in by_folded_name:
            raise ValueError(f"no operator type '{name}'; did you mean '{by_folded_name[name.casefold()]}'?")
