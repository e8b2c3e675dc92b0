"""Schemas of options: what is read, what is refused and in which words, what ONNX Runtime gets."""

import json
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import model_validator

from ortolan_backends.contract import Check, Outcome, Probe
from ortolan_backends.errors import InvalidOption
from ortolan_backends.options import OptionDoc, ProviderOptions, Size, describe, encode, option, parse_options


class KiteOptions(ProviderOptions):
    true_word: ClassVar[str] = "True"
    false_word: ClassVar[str] = "False"

    device_id: int = option(0, key="device_id", ge=0, le=7, doc="The device.")
    rate: float = option(0.5, key="kite_rate", ge=0, unit="Hz", doc="The rate.")
    fast: bool = option(True, key="kite_fast", doc="Whether it is fast.")
    slow: bool = option(False, key="disable_fast", spelling={"True": "False", "False": "True"}, doc="The opposite.")
    wind: Literal["east", "west"] = option("east", key="kite_wind", spelling={"east": "EAST"}, doc="The wind.")
    memory_limit: Size | None = option(None, key="kite_mem_limit", unit="bytes", doc="The most memory.")
    line: str | None = option(None, key="kite_line", pattern="^[a-z]+$", allowed="small letters", doc="The line.")
    tail: Mapping[str, Mapping[str, int]] | None = option(None, key="kite_tail", doc="The tail.")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.fast and self.slow:
            raise ValueError("slow has no effect with fast = true")
        return self


class Kite:
    name: str = "kite"
    provider: str = "KiteExecutionProvider"
    summary: str = "Flies."
    compiles: bool = False
    options: type[ProviderOptions] = KiteOptions

    def probe(self) -> Probe:
        return Probe((Check("wind", Outcome.OK, "it blows"),))

    def attach(self, session_options: object, options: ProviderOptions) -> None: ...


def parse(mapping: Mapping[str, object]) -> dict[str, str]:
    return encode(parse_options(Kite(), mapping))


def test_only_what_was_set_is_encoded_and_in_the_family_s_spelling() -> None:
    assert parse({}) == {}
    assert parse({"device_id": 0}) == {"device_id": "0"}
    encoded = parse(
        {
            "device_id": 3,
            "rate": 2,
            "fast": False,
            "slow": True,
            "wind": "east",
            "memory_limit": "8GiB",
            "line": "abc",
            "tail": {"knots": {"n": 3}},
        }
    )
    assert encoded == {
        "device_id": "3",
        "kite_rate": "2.0",
        "kite_fast": "False",
        "disable_fast": "False",
        "kite_wind": "EAST",
        "kite_mem_limit": str(8 << 30),
        "kite_line": "abc",
        "kite_tail": '{"knots":{"n":3}}',
    }


@pytest.mark.parametrize(
    ("value", "size_bytes"),
    [
        (0, 0),
        (1024, 1024),
        ("0B", 0),
        ("512B", 512),
        ("2KiB", 2048),
        ("2 KiB", 2048),
        ("1.5GiB", 3 << 29),
        ("4MB", 4_000_000),
    ],
)
def test_sizes(value: object, size_bytes: int) -> None:
    assert parse({"memory_limit": value}) == {"kite_mem_limit": str(size_bytes)}


@given(st.integers(0, (1 << 63) - 1))
def test_sizes_in_bytes_are_exact(size_bytes: int) -> None:
    assert parse({"memory_limit": size_bytes}) == {"kite_mem_limit": str(size_bytes)}
    assert parse({"memory_limit": f"{size_bytes}B"}) == {"kite_mem_limit": str(size_bytes)}


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"device": 0}, "kite: it has no option device; did you mean device_id?"),
        ({"kite_mem_limit": 1}, "kite: it has no option kite_mem_limit; did you mean memory_limit?"),
        (
            {"zzz": 0},
            "kite: it has no option zzz; it has device_id, rate, fast, slow, wind, memory_limit, line, tail",
        ),
        ({"user_compute_stream": 1}, "kite: user_compute_stream cannot be set, since it takes a pointer"),
        ({"device_id": "0"}, 'kite: device_id = "0" is refused: it takes an integer: 0 to 7'),
        ({"device_id": True}, "kite: device_id = true is refused: it takes an integer: 0 to 7"),
        ({"device_id": 8}, "kite: device_id = 8 is refused: it takes an integer: 0 to 7"),
        ({"rate": -1.5}, "kite: rate = -1.5 is refused: it takes a number in Hz: >= 0"),
        ({"rate": float("nan")}, "kite: rate = NaN is refused: it takes a number in Hz: >= 0"),
        ({"fast": 1}, "kite: fast = 1 is refused: it takes true or false"),
        ({"wind": "north"}, 'kite: wind = "north" is refused: it takes a text: east or west'),
        (
            {"memory_limit": "8 apples"},
            'kite: memory_limit = "8 apples" is refused: it takes a number of bytes or a text such as "8GiB"',
        ),
        (
            {"memory_limit": 1 << 63},
            f'kite: memory_limit = {1 << 63} is refused: it takes a number of bytes or a text such as "8GiB"',
        ),
        ({"line": "ABC"}, 'kite: line = "ABC" is refused: it takes a text: small letters'),
        ({"tail": "{}"}, 'kite: tail = "{}" is refused: it takes a table'),
        ({"tail": {"knots": {"n": "x"}}}, 'kite: tail.knots.n = "x" is refused: input should be a valid integer'),
        ({"slow": True}, "kite: slow has no effect with fast = true"),
        (
            {"fast": "yes", "slow": 0},
            'kite: fast = "yes" is refused: it takes true or false; slow = 0 is refused: it takes true or false',
        ),
    ],
)
def test_faults_name_provider_key_value_and_what_is_allowed(mapping: Mapping[str, object], message: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        parse_options(Kite(), mapping)
    assert str(caught.value) == message


def test_options_are_described() -> None:
    docs = {doc.name: doc for doc in describe(KiteOptions)}
    assert list(docs) == ["device_id", "rate", "fast", "slow", "wind", "memory_limit", "line", "tail"]
    assert docs["device_id"] == OptionDoc("device_id", "device_id", "integer", "0", "", "0 to 7", "The device.")
    assert docs["rate"] == OptionDoc("rate", "kite_rate", "number", "0.5", "Hz", ">= 0", "The rate.")
    assert docs["fast"] == OptionDoc("fast", "kite_fast", "boolean", "true", "", "", "Whether it is fast.")
    assert docs["wind"] == OptionDoc("wind", "kite_wind", "text", '"east"', "", "east or west", "The wind.")
    assert docs["line"] == OptionDoc("line", "kite_line", "text", "", "", "small letters", "The line.")
    assert docs["tail"] == OptionDoc("tail", "kite_tail", "table", "", "", "", "The tail.")
    size = 'a number of bytes or a text such as "8GiB"'
    assert docs["memory_limit"] == OptionDoc(
        "memory_limit", "kite_mem_limit", "size", "", "bytes", size, "The most memory."
    )


def test_a_schema_is_published_for_editors() -> None:
    schema = json.loads(json.dumps(KiteOptions.model_json_schema()))
    assert schema["additionalProperties"] is False
    assert schema["properties"]["device_id"]["maximum"] == 7


def test_a_schema_cannot_hold_what_takes_a_pointer() -> None:
    with pytest.raises(TypeError, match=r"Bad\.stream: no schema may have user_compute_stream, since it takes a point"):

        class Bad(ProviderOptions):
            stream: int = option(0, key="user_compute_stream", doc="A pointer.")


def test_a_schema_holds_only_documented_options() -> None:
    with pytest.raises(TypeError, match=r"Bad\.device is not declared with option\(\)"):

        class Bad(ProviderOptions):
            device: int = 0
