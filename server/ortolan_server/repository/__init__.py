from ortolan_server.repository.config import ModelToml, load_model_toml, model_toml_json_schema, parse_model_toml
from ortolan_server.repository.entry import ModelEntry
from ortolan_server.repository.external_data import check_external_data
from ortolan_server.repository.layout import Repository
from ortolan_server.repository.tables import (
    DEFAULT_NODE_SHARE,
    Batching,
    ChainRung,
    DeclaredTensor,
    Failover,
    Limits,
    Lock,
    Numeric,
    Require,
    Warmup,
    WarmupInput,
)
from ortolan_server.repository.versions import VersionPolicy

__all__ = [
    "DEFAULT_NODE_SHARE",
    "Batching",
    "ChainRung",
    "DeclaredTensor",
    "Failover",
    "Limits",
    "Lock",
    "ModelEntry",
    "ModelToml",
    "Numeric",
    "Repository",
    "Require",
    "VersionPolicy",
    "Warmup",
    "WarmupInput",
    "check_external_data",
    "load_model_toml",
    "model_toml_json_schema",
    "parse_model_toml",
]
