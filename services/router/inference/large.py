"""Large requests and answers over HTTP, which are read and written aside: see gateway/aside.py.

What goes to the process and comes back is framed here: a head in JSON, with its length before it,
and behind it what the head is about.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from services.router.gateway.tensors import Tensors
from services.router.inference import answer, document
from services.router.inference.answer import Body, Style
from services.router.inference.document import Wishes
from services.router.inference.given import messages
from services.router.inference.told import told
from shared.contract import Field
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse

READ: Final = b"i"
WRITE: Final = b"j"
LENGTH: Final = 4  # bytes of a length


def framed(head: Any, rest: bytes) -> bytes:
    described = msgspec.json.encode(head)
    return b"".join((len(described).to_bytes(LENGTH, "little"), described, rest))


def _head(data: bytes) -> tuple[bytes, bytes]:
    end = LENGTH + int.from_bytes(data[:LENGTH], "little")
    return data[LENGTH:end], data[end:]


def read(data: bytes, fields: Sequence[Field]) -> bytes:
    """Of a body, with how much of it is JSON as its head: a PredictRequest, with what was asked."""
    header, body = _head(data)
    asked = document.read(body, msgspec.json.decode(header, type=int | None))
    inputs = PredictRequest(inputs=messages(asked.given, fields))
    return framed(msgspec.structs.replace(asked, given=[]), inputs.SerializeToString())


def taken(data: bytes) -> tuple[Wishes, Tensors]:
    """What `read` gave."""
    asked, message = _head(data)
    return msgspec.json.decode(asked, type=Wishes), PredictRequest.FromString(message).inputs


def write(data: bytes, fields: Sequence[Field]) -> bytes:
    """Of a PredictResponse, with the style as its head: a body, with how much of it is JSON."""
    head, message = _head(data)
    style = msgspec.json.decode(head, type=Style)
    outputs = PredictResponse.FromString(message).outputs
    body = answer.write(style, [told(name, outputs[name]) for name in style.names])
    return framed(body.header, body.content)


def written(data: bytes) -> Body:
    """What `write` gave."""
    header, content = _head(data)
    return Body(content=content, header=msgspec.json.decode(header, type=int | None))


WORK: Final[dict[bytes, Callable[[bytes, Sequence[Field]], bytes]]] = {READ: read, WRITE: write}
