"""Triton's `config.pbtxt`, as the equal `model.toml`."""

from ortolan_server.repository.triton.notes import Note, Outcome
from ortolan_server.repository.triton.parsing import TritonConfig, load_config, parse_config, parse_config_json
from ortolan_server.repository.triton.translation import Translation, translate

__all__ = [
    "Note",
    "Outcome",
    "Translation",
    "TritonConfig",
    "load_config",
    "parse_config",
    "parse_config_json",
    "translate",
]
