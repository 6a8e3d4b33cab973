"""The process beside the router in which large bodies become tensors, and large tensors JSON.

One order after the other comes over standard input, and its answer goes out over standard output.
When the input ends, so does the process: with the router, at the latest. What it may come to hold
is limited, so whatever an order is made of, the router lives.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final

import msgspec

from services.router.gateway.answer import to_json
from services.router.gateway.errors import GatewayError, Kind
from services.router.gateway.mapping import to_tensors
from services.router.inference import large
from shared.contract import Field
from shared.protos.hydro_serving_grpc.tf.api.predict_pb2 import PredictRequest, PredictResponse

ORDER: Final = struct.Struct("<cIQ")  # which, bytes of the fields (JSON), bytes of what it is about
REPLY: Final = struct.Struct("<cQ")  # how it ended, bytes of the rest
READ: Final = b"r"  # a body: the answer is a PredictRequest
WRITE: Final = b"w"  # a PredictResponse: the answer is JSON
DONE: Final = b"d"
REFUSED: Final = b"f"  # the rest is a Refusal

MEMORY: Final = 6 << 30  # bytes of addresses
NICE: Final = 5  # who only asks for a small thing goes first


class Refusal(msgspec.Struct, frozen=True):
    """A GatewayError on its way; no kind: the ValueError of answer.to_json."""

    kind: str
    information: str


_fields: Final = msgspec.json.Decoder(tuple[Field, ...])


Work = Callable[[bytes, Sequence[Field]], bytes]


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.nice(NICE)
    orders, replies = sys.stdin.buffer, sys.stdout.buffer
    while len(head := orders.read(ORDER.size)) == ORDER.size:
        which, described, size = ORDER.unpack(head)
        fields = _fields.decode(orders.read(described))
        ended, rest = _answered(WORK[which], orders, size, fields)
        replies.write(REPLY.pack(ended, len(rest)))
        replies.write(rest)
        replies.flush()


def _answered(
    work: Work,
    orders: BinaryIO,
    size: int,
    fields: tuple[Field, ...],
) -> tuple[bytes, bytes]:
    try:
        return DONE, work(orders.read(size), fields)
    except GatewayError as error:
        refusal = Refusal(str(error.kind), error.information)
    except ValueError as error:
        refusal = Refusal("", str(error))
    except MemoryError:
        refusal = Refusal(str(Kind.TOO_LARGE), "It takes more memory than there is for it.")
    return REFUSED, msgspec.json.encode(refusal)


def _read(body: bytes, fields: Sequence[Field]) -> bytes:
    return PredictRequest(inputs=to_tensors(body, fields)).SerializeToString()


def _write(message: bytes, fields: Sequence[Field]) -> bytes:
    return to_json(PredictResponse.FromString(message).outputs, fields)


WORK: Final[dict[bytes, Work]] = {READ: _read, WRITE: _write, **large.WORK}


if __name__ == "__main__":
    main()
