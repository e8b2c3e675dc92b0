from ortolan_server.repository.config import (
    Batching,
    ChainRung,
    Limits,
    ModelToml,
    Require,
    load_model_toml,
    model_toml_json_schema,
    parse_model_toml,
)
from ortolan_server.repository.entry import ModelEntry
from ortolan_server.repository.external_data import check_external_data
from ortolan_server.repository.layout import Repository
from ortolan_server.repository.versions import VersionPolicy, wanted_versions

__all__ = [
    "Batching",
    "ChainRung",
    "Limits",
    "ModelEntry",
    "ModelToml",
    "Repository",
    "Require",
    "VersionPolicy",
    "check_external_data",
    "load_model_toml",
    "model_toml_json_schema",
    "parse_model_toml",
    "wanted_versions",
]
