import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ortolan_server.validation import did_you_mean, explain


class Leaf(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    size: int = Field(default=1, le=3)


class Tree(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    leaves: list[Leaf] = []
    rows: tuple[Leaf, ...] = ()
    sizes: tuple[int, ...] = ()
    named: dict[str, Leaf] = {}
    best: Leaf | None = None
    flagged: int = Field(default=0, title="--flagged")


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ({"leaves": [{}, {"size": 4}]}, ["f: leaves[2].size: must be less than or equal to 3, not 4"]),
        ({"best": {"siz": 1}}, ["f: best.siz: unknown key; did you mean 'size'? allowed: size"]),
        ({"leaves": [{"x": {"y": 1}}]}, ["f: leaves[1].x: unknown key; allowed: size"]),
        ({"named": {"a": {"siz": 1}}}, ["f: named.a.siz: unknown key; did you mean 'size'? allowed: size"]),
        ({"named": {"size": 1}}, ["f: named.size: must be a table, not 1"]),
        ({"rows": {"size": 1}}, ["f: rows: must be a list of tables: write [[rows]], not [rows]"]),
        ({"sizes": {"a": 1}}, ['f: sizes: must be a list, not {"a": 1}']),
        ({"flagged": "1"}, ['f: --flagged: must be a valid integer, not "1"']),
        ({"best": 1, "leaves": 2}, ["f: leaves: must be a valid list, not 2", "f: best: must be a table, not 1"]),
    ],
)
def test_explain(data: dict[str, object], lines: list[str]) -> None:
    with pytest.raises(ValidationError) as raised:
        Tree.model_validate(data)
    assert explain(raised.value, Tree, "f").splitlines() == lines


def test_did_you_mean() -> None:
    assert did_you_mean("quee", ["queue", "chain"]) == "did you mean 'queue'?"
    assert did_you_mean("quee", ["queue", "chain"], then=" ") == "did you mean 'queue'? "
    assert did_you_mean("zzz", ["queue", "chain"], then=" ") == ""
