"""A configuration that a client sends with a load, in place of what is on disk."""

import tomllib
from dataclasses import dataclass

from ortolan_server.errors import InvalidConfig
from ortolan_server.repository.config import ModelToml, parse_model_toml
from ortolan_server.repository.triton import Note, parse_config_json, translate

__all__ = ["GIVEN", "Given", "read_given"]

GIVEN = "config of the request"
"""What messages call it."""

_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Given:
    """What a model is loaded by until its next load."""

    config: ModelToml
    notes: tuple[Note, ...] = ()
    """What became of the settings, where they were Triton's."""


def read_given(text: str, model: str) -> Given:
    """Reads the JSON of Triton's model configuration, as its clients send it, or the text of a model.toml.

    Raises InvalidConfig, each line of which begins with GIVEN.
    """
    if len(text) > _MAX_BYTES:
        raise InvalidConfig(f"{GIVEN}: has {len(text)} characters; at most {_MAX_BYTES} are taken")
    if text.lstrip().startswith("{"):
        translation = translate(parse_config_json(text, GIVEN), model)
        return Given(translation.config, translation.notes)
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # as of a model.toml on disk
        raise InvalidConfig(f"{GIVEN}: is neither the JSON of a model configuration nor TOML: {error}") from error
    return Given(parse_model_toml(document, GIVEN))
