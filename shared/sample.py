"""A request to a model and its answer, as the router keeps some for whoever profiles them.

Tensors are serialized `hydrosphere.tensorflow.TensorProto`, by their fields' names. The whole is
MessagePack, which costs the router next to nothing to write.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from shared.ids import VersionId

Tensors = Annotated[dict[str, bytes], Meta(max_length=1_000)]


class Sample(msgspec.Struct, frozen=True, array_like=True):
    inputs: Tensors
    outputs: Tensors


class Taken(msgspec.Struct, frozen=True):
    """A sample on its way to the table."""

    version: VersionId
    body: bytes

    @classmethod
    def of(cls, version: VersionId, inputs: Tensors, outputs: Tensors) -> Taken:
        return cls(version, msgspec.msgpack.encode(Sample(inputs, outputs)))
