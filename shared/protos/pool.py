"""Where the classes of these messages are registered: not in the pool of the whole process.

A process may hold only one definition of a name in each pool, and other packages define these
names too (tritonclient the Open Inference Protocol, people's own runtimes TensorProto).
"""

from __future__ import annotations

from typing import Final

from google.protobuf import empty_pb2, wrappers_pb2
from google.protobuf.descriptor_pool import DescriptorPool

POOL: Final = DescriptorPool()

for known in (empty_pb2, wrappers_pb2):
    POOL.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
