"""Reads a model configuration of Triton: `config.pbtxt`, or the JSON that its clients send."""

import json
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import json_format, text_format

from ortolan.inference import model_config_pb2 as pb
from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.text_file import read_text
from ortolan_server.repository.triton.unknown import split_json, split_text

__all__ = ["TritonConfig", "load_config", "parse_config", "parse_config_json"]

_MAX_BYTES = 1 << 20
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class TritonConfig:
    """What was read, and where."""

    config: pb.ModelConfig
    unknown: tuple[str, ...]
    """Fields that were given and are none of the message's, such as `dynamic_batching.max_delay`."""
    source: str
    """What messages call it: the file's path."""


def load_config(path: Path) -> TritonConfig:
    """Reads a `config.pbtxt`. Raises InvalidConfig whose text begins with the file's path."""
    without = "without the file the model is served by the defaults"
    return parse_config(read_text(path, max_bytes=_MAX_BYTES, without=without), str(path))


def parse_config(text: str, source: str) -> TritonConfig:
    """Reads protobuf's text format.

    Raises InvalidConfig, `<source>:<line>:<column>: …`, for what is none, and for values that a field cannot have.
    Fields that nobody knows are no fault here: they are named in `unknown`.
    """
    try:
        return TritonConfig(text_format.Parse(text, pb.ModelConfig()), (), source)
    except text_format.ParseError as error:
        fault = error
    except RecursionError as error:
        raise InvalidConfig(f"{source}: is not protobuf text: it is nested too deeply") from error
    try:
        known, unknown = split_text(text, pb.ModelConfig.DESCRIPTOR)
    except (text_format.ParseError, RecursionError):
        raise InvalidConfig(f"{_place(source, fault)}: is not protobuf text: {_said(fault)}") from fault
    try:
        return TritonConfig(text_format.Parse(known, pb.ModelConfig()), unknown, source)
    except text_format.ParseError as error:
        raise InvalidConfig(f"{_place(source, error)}: is not protobuf text: {_said(error)}") from error


def parse_config_json(text: str, source: str) -> TritonConfig:
    """As `parse_config`, of the JSON form: what Triton's clients send as `config` with a load."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidConfig(f"{source}:{error.lineno}:{error.colno}: is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:  # integers of thousands of digits, or nested too deeply
        raise InvalidConfig(f"{source}: is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidConfig(f"{source}: must be a JSON object")
    known, unknown = split_json(document, pb.ModelConfig.DESCRIPTOR)
    try:
        config = json_format.ParseDict(known, pb.ModelConfig())
    except (json_format.ParseError, RecursionError) as error:
        raise InvalidConfig(f"{source}: is no model configuration: {error}") from error
    return TritonConfig(config, unknown, source)


def _place(source: str, error: text_format.ParseError) -> str:
    line, column = error.GetLine(), error.GetColumn()
    return source if line is None else f"{source}:{line}:{column}"


def _said(error: text_format.ParseError) -> str:
    """Its message without the place, which it begins with. It may show the line that it is about."""
    text = str(error)
    text = text if error.GetLine() is None else text.partition(" : ")[2] or text
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
