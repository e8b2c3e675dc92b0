"""Configurations that come with a load."""

import json

import pytest

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository import ModelToml
from ortolan_server.repository.given import read_given


def test_the_json_that_tritons_clients_send() -> None:
    text = json.dumps({"backend": "onnxruntime", "max_batch_size": 8, "version_policy": {"all": {}}})
    given = read_given(text, "m")
    assert given.config.batching is None  # Triton batches only with dynamic_batching
    assert given.config.versions.all is True
    assert {note.key for note in given.notes} >= {"backend", "max_batch_size"}


@pytest.mark.parametrize("text", ["", "# as it is\n"])
def test_nothing_is_our_default(text: str) -> None:
    assert read_given(text, "m").config == ModelToml()


@pytest.mark.parametrize("text", ["{}", " \n {}"])
def test_nothing_in_json_is_tritons_default(text: str) -> None:
    assert [rung.provider for rung in read_given(text, "m").config.chain] == ["cuda", "cpu"]


def test_the_text_of_a_model_toml() -> None:
    given = read_given('[[chain]]\nprovider = "cpu"\nthreads = 1\n[limits]\nqueue = 7\n', "m")
    assert given.config.limits.queue == 7
    assert given.notes == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"max_batch_size": 8', "config of the request:1:21: is not JSON"),
        ('{"max_batch_size": "many"}', "config of the request: is no model configuration: "),
        ('{"platform": "tensorflow_savedmodel"}', "config of the request: platform: "),
        ("queue 7", "config of the request: is neither the JSON of a model configuration nor TOML: "),
        ("[limit]\nqueue = 7", "config of the request: limit: unknown key; did you mean 'limits'?"),
        ("a = " + "[" * 100_000, "config of the request: is neither "),
        ("#" * (2**20 + 1), "config of the request: has 1048577 characters; at most 1048576 are taken"),
    ],
    ids=["half", "wrong value", "wrong platform", "no TOML", "unknown key", "nested too deep", "too long"],
)
def test_what_is_no_configuration(text: str, told: str) -> None:
    with pytest.raises(InvalidConfig) as raised:
        read_given(text, "m")
    assert str(raised.value).startswith(told)
