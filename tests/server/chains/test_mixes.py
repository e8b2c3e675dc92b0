"""Providers that exclude each other are refused before anything is opened."""

import pytest

from ortolan_backends.catalog import Catalog
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_server.chains.registry import Registry
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository import parse_model_toml

FILE = "models/m/model.toml"


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        (("tensorrt", "tensorrt_rtx"), "chain[1] tensorrt and chain[2] tensorrt_rtx exclude each other"),
        (("tensorrt_rtx", "cuda", "tensorrt", "cpu"), "chain[1] tensorrt_rtx and chain[3] tensorrt exclude each other"),
    ],
)
def test_a_chain_that_mixes_them_names_both(chain: tuple[str, ...], message: str, runtime_log: RuntimeLog) -> None:
    registry = Registry(Catalog.from_entry_points(), runtime_log)
    config = parse_model_toml({"chain": [{"provider": name} for name in chain]}, FILE)
    with pytest.raises(InvalidConfig) as caught:
        registry.compose(config, FILE)
    assert str(caught.value).startswith(f"{FILE}: {message} in one session")


@pytest.mark.parametrize("chain", [("tensorrt", "cuda", "cpu"), ("tensorrt_rtx", "cuda", "cpu"), ("qnn", "xnnpack")])
def test_others_go_together(chain: tuple[str, ...], runtime_log: RuntimeLog) -> None:
    registry = Registry(Catalog.from_entry_points(), runtime_log)
    config = parse_model_toml({"chain": [{"provider": name} for name in chain]}, FILE)
    assert tuple(rung.name for rung in registry.compose(config, FILE).rungs) == chain
