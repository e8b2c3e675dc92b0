from ortolan_server.repository.tables.batching import Batching
from ortolan_server.repository.tables.chain import DEFAULT_NODE_SHARE, ChainRung, Require
from ortolan_server.repository.tables.failover import Failover
from ortolan_server.repository.tables.limits import Limits
from ortolan_server.repository.tables.lock import Lock
from ortolan_server.repository.tables.numeric import Numeric
from ortolan_server.repository.tables.tensors import DeclaredTensor
from ortolan_server.repository.tables.warmup import Warmup, WarmupInput

__all__ = [
    "DEFAULT_NODE_SHARE",
    "Batching",
    "ChainRung",
    "DeclaredTensor",
    "Failover",
    "Limits",
    "Lock",
    "Numeric",
    "Require",
    "Warmup",
    "WarmupInput",
]
