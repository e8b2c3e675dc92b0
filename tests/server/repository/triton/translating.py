"""Texts of config.pbtxt and what becomes of them."""

import pytest

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository import ModelToml, parse_model_toml
from ortolan_server.repository.triton import Outcome, Translation, parse_config, translate

__all__ = ["ON_CPU", "model_toml", "noted", "refusal", "translated"]

ON_CPU = "instance_group { kind: KIND_CPU } "


def translated(text: str, model: str = "digits") -> Translation:
    return translate(parse_config(text, "config.pbtxt"), model)


def refusal(text: str, model: str = "digits") -> list[str]:
    """The lines of the error, which all begin with the source."""
    with pytest.raises(InvalidConfig) as raised:
        translated(text, model)
    lines = str(raised.value).splitlines()
    assert all(line.startswith("config.pbtxt: ") for line in lines)
    return [line.removeprefix("config.pbtxt: ") for line in lines]


def noted(text: str, outcome: Outcome) -> dict[str, str]:
    """Key → text of the notes with that outcome."""
    return {note.key: note.text for note in translated(text).notes if note.outcome is outcome}


def model_toml(**document: object) -> ModelToml:
    """As it would be read; without a chain on the CPU."""
    return parse_model_toml(document, "expected")
