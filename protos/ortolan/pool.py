"""The descriptor pool of Ortolan's messages.

`tritonclient.grpc` and `kserve` register the same names (`inference.ServerLiveRequest`, …) in protobuf's
default pool, and one pool takes each name once. With a pool of our own all can live in one process.
"""

from google.protobuf import timestamp_pb2
from google.protobuf.descriptor_pool import DescriptorPool

__all__ = ["POOL"]

POOL = DescriptorPool()
# A pool knows nothing at first, the well-known types that our files import included.
POOL.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
