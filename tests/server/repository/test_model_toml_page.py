"""The page that documents model.toml says what the code does."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from ortolan_backends.catalog import Catalog
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository import (
    Batching,
    DeclaredTensor,
    Failover,
    Limits,
    Lock,
    ModelToml,
    Numeric,
    Require,
    VersionPolicy,
    Warmup,
    parse_model_toml,
)
from ortolan_server.repository.rungs import check_chain
from ortolan_server.units import parse_size_bytes

PAGE = (Path(__file__).parents[3] / "docs/model-toml.md").read_text()
SECTIONS: dict[str, type[BaseModel]] = {
    "Top level": ModelToml,
    "`[require]`": Require,
    "`[batching]`": Batching,
    "`[limits]`": Limits,
    "`[versions]`": VersionPolicy,
    "`[[input]]` and `[[output]]`": DeclaredTensor,
    "`[[warmup]]`": Warmup,
    "`[numeric]`": Numeric,
    "`[lock]`": Lock,
    "`[failover]`": Failover,
}


def example() -> ModelToml:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    return parse_model_toml(tomllib.loads(text), "docs/model-toml.md")


def rows(section: str) -> dict[str, str]:
    """Key → default, from the table of a section."""
    (text,) = re.findall(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    cells = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    return {row[1].strip(" `"): row[3].strip(" `") for row in cells}


def test_the_example_is_right_down_to_the_options() -> None:
    config = example()
    assert [backend.name for backend, _ in check_chain(config, Catalog.from_entry_points(), "docs")] == ["cuda", "cpu"]
    assert config.require == Require(provider=("cuda",), node_share=0.95, forbid_on_cpu=("Conv", "MatMul"))


def test_the_example_has_every_key() -> None:
    config = example()
    assert config.model_fields_set == set(ModelToml.model_fields)
    assert config.require is not None
    assert config.require.model_fields_set == set(Require.model_fields)
    assert config.batching is not None
    assert config.batching.model_fields_set == set(Batching.model_fields)
    assert config.limits.model_fields_set == set(Limits.model_fields)
    assert config.input[0].model_fields_set == config.output[0].model_fields_set == set(DeclaredTensor.model_fields)
    (sample,) = config.warmup
    assert sample.model_fields_set == set(Warmup.model_fields)
    assert config.numeric.model_fields_set == set(Numeric.model_fields)
    assert config.lock.model_fields_set == set(Lock.model_fields)
    assert config.failover.model_fields_set == set(Failover.model_fields)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_has_its_row_and_its_default(section: str) -> None:
    model = SECTIONS[section]
    written = rows(section)
    top = {"required", "trust_inputs", "file"}  # the others are tables, each with a section of its own
    assert written.keys() == (top if model is ModelToml else model.model_fields.keys())
    for key, default in written.items():
        value = model.model_fields[key].default
        if default.endswith('MiB"'):
            assert parse_size_bytes(default.strip('"')) == value, key
        elif isinstance(value, bool | int | float | str):
            assert default.strip('"') == str(value).lower(), key


def test_the_errors_it_shows_are_those_that_come() -> None:
    shown = [
        line.removeprefix("digits/model.toml: ") for line in PAGE.splitlines() if line.startswith("digits/model.toml: ")
    ]
    assert len(shown) == 2
    documents: tuple[dict[str, object], ...] = ({"require": {"node_shar": 0.95}}, {"limits": {"queue": 0}})
    for document, line in zip(documents, shown, strict=True):
        with pytest.raises(InvalidConfig) as raised:
            parse_model_toml(document, "digits/model.toml")
        assert str(raised.value) == f"digits/model.toml: {line}"
