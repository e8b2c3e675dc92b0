"""Reading config.pbtxt and its JSON form."""

import re
from pathlib import Path

import pytest

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.triton import load_config, parse_config, parse_config_json


def test_both_forms_are_the_same() -> None:
    text = """
        # Comments, lists in brackets and texts side by side are protobuf's own.
        max_batch_size: 8
        input [ { name: "IN" 'PUT' data_type: TYPE_FP32 dims: [ -1, 3 ] } ]
        parameters { key: "a" value: { string_value: "1" } }
        instance_group < kind: KIND_CPU >;
    """
    document = """{
        "max_batch_size": 8, "input": [{"name": "INPUT", "dataType": "TYPE_FP32", "dims": [-1, "3"]}],
        "parameters": {"a": {"string_value": "1"}}, "instanceGroup": {"kind": "KIND_CPU"}
    }""".replace('"instanceGroup": {"kind": "KIND_CPU"}', '"instanceGroup": [{"kind": "KIND_CPU"}]')
    assert parse_config(text, "x").config == parse_config_json(document, "x").config


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("max_batch_size: 1", ()),
        ("a [ { b: 1 }, { c: [ 1, 2 ] } ]\nmax_batch_size: 1 # x\n  d: 'ü' # } ]", ("a", "d")),
        ("bar: 1 bar: 2 baz <a { b: [ { c: 1 }, { c: 2 } ] }>", ("bar", "baz")),
        ("dynamic_batching { a: 'x' \"y\" max_queue_delay_microseconds: 1, b: -1.5e3 }", tuple("ab")),
        ("input [ { c: [1, 2] name: 'x' }, { name: 'y'; d {} } ] output { e: FOO }", tuple("cde")),
        ("parameters { key: 'k' value: { string_value: 's' f: 1 } }", ("f",)),
    ],
)
def test_unknown_fields_of_the_text_are_named(text: str, unknown: tuple[str, ...]) -> None:
    found = parse_config(text, "config.pbtxt").unknown
    assert tuple(name.rpartition(".")[2] for name in found) == unknown


def test_what_is_known_beside_them_is_read() -> None:
    text = "name: 'ü' a { b [ { c: 1 } ] }\nmax_batch_size: 7 d: 1, backend: 'x' input { e: 1 name: 'y' f <> } g: 1"
    read = parse_config(text, "config.pbtxt")
    assert read.config == parse_config("name: 'ü' max_batch_size: 7 backend: 'x' input { name: 'y' }", "").config
    assert read.unknown == ("a", "d", "input.e", "input.f", "g")


def test_a_fault_beside_them_keeps_its_place() -> None:
    with pytest.raises(InvalidConfig, match=r"^config.pbtxt:2:22: .*parse integer"):
        parse_config("foo [ { a: 1 } ]\nb: 1 max_batch_size: 'x'", "config.pbtxt")


def test_their_whole_path_is_named() -> None:
    assert parse_config("dynamic_batching { default_queue_policy { x: 1 } }", "").unknown == (
        "dynamic_batching.default_queue_policy.x",
    )
    document = '{"x": 1, "parameters": {"k": {"y": 1}}, "input": [{"z": {}}], "optimization": {"graph": {"w": []}}}'
    assert parse_config_json(document, "").unknown == ("x", "parameters.y", "input.z", "optimization.graph.w")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("max_batch_size: 8\n  input [ {", r"config.pbtxt:2:\d+: is not protobuf text: Expected"),
        ('\nmax_batch_size: "x"', r"config.pbtxt:2:17: is not protobuf text: .*Couldn't parse integer"),
        ("input { data_type: TYPE_FP8 }", r"config.pbtxt:1:20: .*no value named TYPE_FP8"),
        ("[a.b.extension]: 1", r"config.pbtxt:1:\d+: is not protobuf text: .*extensions"),
        ("name: 'x", r"config.pbtxt:1:7: is not protobuf text"),
        ("x { " * 5000, "nested too deeply|is not protobuf text"),
        ("name: 'x" + "y" * 100_000, r"config.pbtxt:1:7: "),
    ],
)
def test_a_text_that_is_none(text: str, error: str) -> None:
    with pytest.raises(InvalidConfig, match=f"^{error}") as raised:
        parse_config(text, "config.pbtxt")
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", r"config:1:2: is not JSON"),
        ("[]", "config: must be a JSON object"),
        ("[" * 100_000, "config: is not JSON"),
        ('{"max_batch_size": ' + "9" * 5000 + "}", "config: is not JSON"),
        ('{"max_batch_size": "x"}', "config: is no model configuration: .*max_batch_size"),
        ('{"instance_group": [{"kind": "KIND_TPU"}]}', "config: is no model configuration: .*KIND_TPU"),
        ('{"parameters": [1]}', "config: is no model configuration: .*parameters"),
    ],
)
def test_json_that_is_none(text: str, error: str) -> None:
    with pytest.raises(InvalidConfig, match=f"^{error}"):
        parse_config_json(text, "config")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "config.pbtxt"
    with pytest.raises(InvalidConfig, match=f"{re.escape(str(path))}: is not a file"):
        load_config(path)
    path.touch()
    with pytest.raises(InvalidConfig, match="is empty: it has 0 bytes"):
        load_config(path)
    path.write_bytes(b"name: '\xff'")
    with pytest.raises(InvalidConfig, match="is not UTF-8 text: byte 7 is 0xff"):
        load_config(path)
    path.write_bytes(b"#" * (1 << 21))
    with pytest.raises(InvalidConfig, match="has more than 1048576 bytes"):
        load_config(path)
    path.write_text("name: 'x'")
    assert load_config(path).source == str(path)
