"""One look into the cache of what providers compile, as a message of `ortolan.v1`."""

from ortolan.v1 import findings_pb2 as pb
from ortolan_server.cache.use import CacheUse

__all__ = ["cache_message"]


def cache_message(use: CacheUse) -> pb.CacheUse:
    return pb.CacheUse(
        result=pb.CacheUse.Result.Value(use.result),
        key=use.key,
        folder=use.folder,
        bytes=use.size_bytes,
        seconds=round(use.seconds, 6),
        reason=use.reason,
    )
