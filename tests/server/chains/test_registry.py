"""Chains composed of a configuration, and probes that are kept."""

import pytest

from ortolan_backends.errors import UnknownProvider
from ortolan_backends.runtime.log import RuntimeLog
from ortolan_server.chains.registry import Registry
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository import parse_model_toml
from tests.server.chains.fakes import CPU, NOWHERE, FakeOptions, catalog

FILE = "models/m/model.toml"


def chain_of(*rungs: dict[str, object], **tables: object) -> dict[str, object]:
    return {"chain": list(rungs), **tables}


def test_rungs_carry_their_checked_options(registry: Registry) -> None:
    config = parse_model_toml(chain_of({"provider": "first", "level": 3, "fast": True}, {"provider": "cpu"}), FILE)
    chain = registry.compose(config, FILE)
    assert str(chain) == "first, cpu"
    assert chain.rungs[0].declared == {"level": "3", "fast": "true"}
    assert chain.rungs[0].opening.options == FakeOptions(level=3, fast=True)
    assert chain.rungs[1].declared == {}


def test_every_wrong_rung_is_named_with_file_and_number(registry: Registry) -> None:
    config = parse_model_toml(
        chain_of({"provider": "first", "level": 11}, {"provider": "tpu"}, {"provider": "cpu", "treads": 2}), FILE
    )
    with pytest.raises(InvalidConfig) as caught:
        registry.compose(config, FILE)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["chain[1]", "chain[2].provider", "chain[3]"]
    assert all(line.startswith(FILE) for line in lines)
    assert "11" in lines[0]
    assert "no provider 'tpu'; known:" in lines[1]
    assert "threads" in lines[2]


def test_without_require_rung_1_or_nothing(registry: Registry) -> None:
    contract = registry.compose(parse_model_toml(chain_of({"provider": "idle"}, {"provider": "cpu"}), FILE), FILE)
    assert contract.contract.implied
    assert contract.contract.providers == {"idle": NOWHERE}
    assert contract.contract.node_share == 0.5
    assert contract.contract.otherwise == "fail"


def test_allow_degraded_is_for_models_without_require_only(runtime_log: RuntimeLog) -> None:
    lenient = Registry(catalog(), runtime_log, allow_degraded=True)
    implied = parse_model_toml(chain_of({"provider": "first"}), FILE)
    written = parse_model_toml(chain_of({"provider": "first"}, require={"node_share": 0.9}), FILE)
    assert lenient.compose(implied, FILE).contract.otherwise == "degrade"
    assert lenient.compose(written, FILE).contract.otherwise == "fail"


def test_require_becomes_the_contract(registry: Registry) -> None:
    require = {"provider": ["second"], "node_share": 0.9, "forbid_on_cpu": ["Conv"], "otherwise": "degrade"}
    config = parse_model_toml(chain_of({"provider": "first"}, {"provider": "second"}, require=require), FILE)
    contract = registry.compose(config, FILE).contract
    assert (contract.providers, contract.node_share) == ({"second": CPU}, 0.9)
    assert (contract.forbid_on_cpu, contract.otherwise) == (frozenset({"Conv"}), "degrade")
    assert not contract.implied


def test_a_probe_is_made_once_until_it_is_refreshed(registry: Registry) -> None:
    found = registry.probe("first")
    assert registry.probe("first") is found
    fresh = registry.probe("first", refresh=True)
    assert fresh.versions != found.versions
    assert registry.probe("first") is fresh


def test_an_unknown_provider_cannot_be_probed(registry: Registry) -> None:
    with pytest.raises(UnknownProvider, match="no provider 'tpu'"):
        registry.probe("tpu")
