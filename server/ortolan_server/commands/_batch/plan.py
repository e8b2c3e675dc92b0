"""Which columns go into which input, and which come out: what the flags say, held against the file and the model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import pyarrow as pa

from ortolan_client import Model, TensorSpec
from ortolan_server.commands._batch.columns import row_shape
from ortolan_server.commands._batch.formats import Format

__all__ = ["Plan", "check_types", "make_plan", "one_number", "text_types"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job does with the columns of its input and the outputs of its model."""

    inputs: Mapping[str, Sequence[str]]
    """Columns by input: one column, or several with one number each."""
    outputs: Mapping[str, str]
    """Columns of the output file by output."""
    keep: Mapping[str, str]
    """Columns of the output file by column of the input file."""

    @property
    def columns(self) -> list[str]:
        """Those of the input file that are read."""
        return list(dict.fromkeys([name for names in self.inputs.values() for name in names] + list(self.keep)))


def make_plan(
    columns: Sequence[str], model: Model, maps: Iterable[str], outputs: Iterable[str], keep: Iterable[str]
) -> Plan:
    """Raises ValueError for what does not go together."""
    given = _renamed(outputs, "--output") or {name: name for name in model.outputs}
    _require(given, list(model.outputs), "output", f"model {model.name!r}")
    kept = _renamed(keep, "--keep")
    _require(kept, columns, "column", "the input file")
    names = [*kept.values(), *given.values()]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ValueError(
            f"the output file would have two columns {twice[0]!r}: --keep COLUMN=NAME and --output NAME=COLUMN rename"
        )
    return Plan(_inputs(columns, model, maps), given, kept)


def check_types(plan: Plan, schema: pa.Schema, inputs: Mapping[str, TensorSpec]) -> None:
    """Raises ValueError for a column that cannot be what its input takes."""
    for name, columns in plan.inputs.items():
        if len(columns) == 1:
            row_shape(columns[0], schema.field(columns[0]).type, inputs[name])
            continue
        spec = inputs[name]
        if len(spec.shape) != 2 or spec.shape[1] not in (-1, len(columns)):  # noqa: PLR2004 ([rows, columns])
            raise ValueError(f"{len(columns)} columns go into input {name!r}, which takes {spec}")
        for column in columns:
            row_shape(column, schema.field(column).type, one_number(spec))


def one_number(spec: TensorSpec) -> TensorSpec:
    """What one of several columns gives an input."""
    return TensorSpec(spec.name, spec.datatype, (-1, 1))


def text_types(plan: Plan, schema: pa.Schema, inputs: Mapping[str, TensorSpec], kind: Format) -> dict[str, pa.DataType]:
    """How to read columns of a text file whose first rows look like something else than their input takes."""
    if kind not in (Format.CSV, Format.JSONL):
        return {}
    types = {}
    for name, columns in plan.inputs.items():
        wanted = _text_leaf(inputs[name].datatype, kind)
        for column in columns:
            found = schema.field(column).type
            if wanted is not None and (retyped := _with_leaf(found, wanted)) != found:
                types[column] = retyped
    return types


def _text_leaf(datatype: str, kind: Format) -> pa.DataType | None:
    if datatype == "BYTES":
        return pa.string() if kind is Format.CSV else None
    if datatype in ("FP16", "FP32", "FP64", "BF16"):
        return pa.float64()
    return None


def _with_leaf(found: pa.DataType, leaf: pa.DataType) -> pa.DataType:
    if pa.types.is_list(found):
        return pa.list_(_with_leaf(found.value_type, leaf))
    numbers = pa.types.is_integer(found) or pa.types.is_null(found)
    return leaf if numbers or (leaf == pa.string() and not pa.types.is_boolean(found)) else found


def _renamed(texts: Iterable[str], flag: str) -> dict[str, str]:
    """`NAME` and `NAME=OTHER`. Raises ValueError for a name that comes twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, sign, other = text.partition("=")
        if not name or (sign and not other):
            raise ValueError(f"{flag} takes NAME or NAME=OTHER, not {text!r}")
        if name in found:
            raise ValueError(f"{flag} names {name!r} twice")
        found[name] = other or name
    return found


def _inputs(columns: Sequence[str], model: Model, maps: Iterable[str]) -> dict[str, Sequence[str]]:
    mapped: dict[str, Sequence[str]] = {}
    for text in maps:
        names, sign, name = text.rpartition("=")
        if not (names and sign and name):
            raise ValueError(f"--map takes COLUMN=INPUT or COLUMN,COLUMN,…=INPUT, not {text!r}")
        if name in mapped:
            raise ValueError(f"--map names input {name!r} twice")
        mapped[name] = _matching(names.split(","), columns)
    _require(mapped, list(model.inputs), "input", f"model {model.name!r}")
    missing = [name for name in model.inputs if name not in mapped]
    for name in [name for name in missing if name in columns]:
        mapped[name] = [name]
        missing.remove(name)
    if len(missing) == 1 and not mapped and len(columns) == 1:
        return {missing[0]: list(columns)}
    if missing:
        raise ValueError(
            f"no column for input {', '.join(missing)}: --map COLUMN={missing[0]} names one of {_listed(columns)}"
        )
    return {name: mapped[name] for name in model.inputs}


def _matching(patterns: Iterable[str], columns: Sequence[str]) -> list[str]:
    found: list[str] = []
    for pattern in patterns:
        here = [pattern] if pattern in columns else [name for name in columns if fnmatchcase(name, pattern)]
        if not here:
            raise ValueError(f"the input file has no column {pattern!r}; it has {_listed(columns)}")
        found += here
    return found


def _require(names: Iterable[str], known: Sequence[str], what: str, whose: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{whose} has no {what} {name!r}; it has {_listed(known)}")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:20])
    return f"{shown}, … ({len(names)} in all)" if len(names) > 20 else shown  # noqa: PLR2004 (what a line bears)
