"""A chain against the backends that are installed."""

import pytest

from ortolan_backends.catalog import Catalog
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository import ChainRung, ModelToml
from ortolan_server.repository.rungs import check_chain


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.from_entry_points()


def test_each_rung_has_its_backend_and_its_options(catalog: Catalog) -> None:
    config = ModelToml(chain=(ChainRung.of("cuda", {"device_id": 1}), ChainRung.of("cpu")))
    (cuda, options), (cpu, nothing) = check_chain(config, catalog, "model.toml")
    assert (cuda.name, cpu.name) == ("cuda", "cpu")
    assert options.model_dump(exclude_unset=True) == {"device_id": 1}
    assert nothing.model_dump(exclude_unset=True) == {}


def test_every_wrong_rung_is_named(catalog: Catalog) -> None:
    config = ModelToml(
        chain=(
            ChainRung.of("tpu"),
            ChainRung.of("cuda", {"devise_id": 1}),
            ChainRung.of("cuda", {"device_id": "first"}),
            ChainRung.of("cpu"),
        )
    )
    with pytest.raises(InvalidConfig) as raised:
        check_chain(config, catalog, "digits/model.toml")
    provider, key, value = str(raised.value).splitlines()
    assert provider.startswith("digits/model.toml: chain[1].provider: no provider 'tpu'; known: ")
    assert key.startswith("digits/model.toml: chain[2]: cuda: ")
    assert "device_id" in key
    assert value.startswith("digits/model.toml: chain[3]: cuda: device_id")


def test_a_key_of_the_file_below_a_rung_is_taken_for_an_option(catalog: Catalog) -> None:
    """TOML gives it to the last table; without a check of the options it would be lost in silence."""
    config = ModelToml.model_validate({"chain": [{"provider": "cpu", "required": False}]})
    with pytest.raises(InvalidConfig, match="required"):
        check_chain(config, catalog, "model.toml")


def test_a_key_of_the_file_below_a_rung_is_told_where_it_belongs(catalog: Catalog) -> None:
    config = ModelToml(chain=(ChainRung.of("cpu", {"required": False}),))
    with pytest.raises(InvalidConfig, match=r"no option required.*\(required: write it above the first "):
        check_chain(config, catalog, "m.toml")
