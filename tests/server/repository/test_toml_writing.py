"""What is written is read back as the same."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ortolan_server.repository import ChainRung, ModelToml, parse_model_toml
from ortolan_server.repository.toml_writing import model_toml_text
from tests.server.repository.test_config import WHOLE
from tests.server.repository.test_model_toml_page import example

TEXTS = some.text(some.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = TEXTS | some.booleans() | some.integers(-(2**63), 2**63 - 1) | some.floats(allow_nan=False)
VALUES = some.recursive(
    SCALARS, lambda inner: some.lists(inner, max_size=3) | some.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)
NAMES = TEXTS.filter(bool)


def read_back(config: ModelToml, *comments: str) -> ModelToml:
    return parse_model_toml(tomllib.loads(model_toml_text(config, comments)), "written")


@pytest.mark.parametrize(
    "config",
    [ModelToml(), example(), parse_model_toml(tomllib.loads(WHOLE), "whole")],
    ids=["nothing", "the page's", "the tests'"],
)
def test_known_ones(config: ModelToml) -> None:
    assert read_back(config) == config


@given(some.dictionaries(TEXTS.filter(lambda key: key != "provider"), VALUES, max_size=4), NAMES)
def test_options_of_any_kind(options: dict[str, object], provider: str) -> None:
    config = ModelToml(chain=(ChainRung.of(provider, options),))
    assert read_back(config) == config


@given(
    some.fixed_dictionaries(
        {},
        optional={
            "required": some.booleans(),
            "input": some.lists(
                some.fixed_dictionaries(
                    {"name": NAMES, "datatype": some.sampled_from(["FP32", "BYTES"]), "shape": some.just([-1, 3])}
                ),
                max_size=2,
            ),
            "batching": some.fixed_dictionaries({"max_delay_ms": some.floats(0, 60_000)}),
            "warmup": some.lists(
                some.fixed_dictionaries(
                    {"inputs": some.dictionaries(NAMES, some.fixed_dictionaries({"file": NAMES}), max_size=2)}
                ),
                max_size=2,
            ),
            "versions": some.just({"specific": [1, 7]}),
        },
    )
)
def test_tables_of_any_kind(document: dict[str, object]) -> None:
    config = parse_model_toml(document, "made up")
    assert read_back(config) == config


@given(TEXTS)
def test_comments_stay_comments(comment: str) -> None:
    assert read_back(ModelToml(required=False), comment) == ModelToml(required=False)


def test_how_it_looks() -> None:
    config = parse_model_toml(
        {
            "chain": [{"provider": "tensorrt", "profile_min_shapes": {"x": [1, 3]}}, {"provider": "cpu"}],
            "required": False,
            "batching": {"max_size": 8},
        },
        "here",
    )
    assert model_toml_text(config, ["By hand."]) == (
        "# By hand.\nrequired = false\n\n"
        '[[chain]]\nprovider = "tensorrt"\nprofile_min_shapes = { x = [1, 3] }\n\n'
        '[[chain]]\nprovider = "cpu"\n\n[batching]\nmax_size = 8\n'
    )
