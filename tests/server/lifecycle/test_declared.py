"""A model beside what its owner says of it."""

import pytest

from ortolan_server.errors import LoadFailed
from ortolan_server.lifecycle.declared import require_declared
from ortolan_server.repository import parse_model_toml
from ortolan_server.tensors import Signature, TensorSpec

MODEL = Signature(
    (TensorSpec("x", "FP32", ("N", 3)), TensorSpec("any", "BYTES", None)), (TensorSpec("y", "INT64", ("N", None)),)
)


def check(**tables: object) -> None:
    require_declared(MODEL, parse_model_toml(tables, "test"))


def tensor(name: str, datatype: str, *shape: int) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": list(shape)}


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {"input": [tensor("x", "FP32", -1, 3)], "output": [tensor("y", "INT64", -1, -1)]},
        {"input": [tensor("x", "FP32", -1, -1)]},  # says less than the model
        {"input": [tensor("x", "FP32", 8, 3)], "output": [tensor("y", "INT64", 8, 5)]},  # or more
        {"input": [tensor("any", "BYTES", 1, 2, 3, 4)]},
    ],
)
def test_what_agrees(tables: dict[str, object]) -> None:
    check(**tables)


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        ({"input": [tensor("x", "FP64", -1, 3)]}, "input 'x' FP32[N,3] is declared as FP64[?,3]"),
        ({"input": [tensor("x", "FP32", -1, 4)]}, "input 'x' FP32[N,3] is declared as FP32[?,4]"),
        ({"input": [tensor("x", "FP32", 3)]}, "input 'x' FP32[N,3] is declared as FP32[3]"),
        ({"input": [tensor("any", "INT8")]}, "input 'any' BYTES[...] is declared as INT8[]"),
        ({"output": [tensor("z", "INT64", 1)]}, "output 'z' is declared, and the model has 'y' INT64[N,?]"),
        (
            {"input": [tensor("x", "BOOL", 1)], "output": [tensor("x", "BOOL", 1)]},
            "input 'x' FP32[N,3] is declared as BOOL[1]; output 'x' is declared, and the model has 'y' INT64[N,?]",
        ),
    ],
)
def test_what_contradicts(tables: dict[str, object], reason: str) -> None:
    with pytest.raises(LoadFailed) as raised:
        check(**tables)
    assert str(raised.value) == reason
