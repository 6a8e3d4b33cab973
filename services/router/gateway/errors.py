"""What the gateway answers when it can't answer otherwise: `{"error": KIND, "information": text}`.

Whose fault it is decides, and the caller's is never a 500:

| kind | HTTP | gRPC | when |
| --- | --- | --- | --- |
| NotFound | 404 | NOT_FOUND | nothing has the name |
| BadRequest | 400 | INVALID_ARGUMENT | the body can't be read as the contract's inputs; the model says INVALID_ARGUMENT |
| ContractViolationError | 400 | INVALID_ARGUMENT | a tensor isn't as its field says; `Multiple validation errors:` and a line for each |
| PayloadTooLarge | 413 | RESOURCE_EXHAUSTED | the body, or a message that the model says is too large for it |
| ModelContractViolationError | 502 | INTERNAL | the model's answer isn't as its own contract says |
| BadGateway | 502 | UNKNOWN | the model's connection broke under the request, or what it said isn't gRPC; whether the request was worked on nobody knows, so it is not sent again |
| InternalServerError | 500 | INTERNAL | the model's own error; the text begins with the status that it gave: `INTERNAL: ...` |
| InternalUncaught | 500 | INTERNAL | a mistake of the platform's |
| ServiceUnavailable | 503 | UNAVAILABLE | nothing was done: nobody runs, can be reached, or has a place; `UNAVAILABLE: ...`, and Retry-After |
| DeadlineExceeded | 504 | DEADLINE_EXCEEDED | the whole request took longer than allowed |

The first three and the two at 500 are Hydrosphere's. It said 500 for the rest, too, with a text
that began with `UNAVAILABLE:` where nobody could be reached; the text is kept, and the status says
more: 503 may be tried again, 502 perhaps not.
"""  # noqa: E501  # a table

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from shared.dial import Failed, Trouble
from shared.errors import PlatformError
from shared.unary.codes import Code
from shared.unary.rejected import Rejected


class Kind(StrEnum):
    NOT_FOUND = "NotFound"
    BAD_REQUEST = "BadRequest"
    VIOLATION = "ContractViolationError"
    TOO_LARGE = "PayloadTooLarge"
    METHOD = "MethodNotAllowed"
    MODEL = "ModelContractViolationError"
    BROKEN = "BadGateway"
    INTERNAL = "InternalServerError"
    UNCAUGHT = "InternalUncaught"
    UNAVAILABLE = "ServiceUnavailable"
    DEADLINE = "DeadlineExceeded"


HTTP: Final[dict[Kind, int]] = {
    Kind.NOT_FOUND: 404,
    Kind.BAD_REQUEST: 400,
    Kind.VIOLATION: 400,
    Kind.TOO_LARGE: 413,
    Kind.METHOD: 405,
    Kind.MODEL: 502,
    Kind.BROKEN: 502,
    Kind.INTERNAL: 500,
    Kind.UNCAUGHT: 500,
    Kind.UNAVAILABLE: 503,
    Kind.DEADLINE: 504,
}

GRPC: Final[dict[Kind, Code]] = {
    Kind.NOT_FOUND: Code.NOT_FOUND,
    Kind.BAD_REQUEST: Code.INVALID_ARGUMENT,
    Kind.VIOLATION: Code.INVALID_ARGUMENT,
    Kind.TOO_LARGE: Code.RESOURCE_EXHAUSTED,
    Kind.METHOD: Code.UNIMPLEMENTED,
    Kind.MODEL: Code.INTERNAL,
    Kind.BROKEN: Code.UNKNOWN,
    Kind.INTERNAL: Code.INTERNAL,
    Kind.UNCAUGHT: Code.INTERNAL,
    Kind.UNAVAILABLE: Code.UNAVAILABLE,
    Kind.DEADLINE: Code.DEADLINE_EXCEEDED,
}

MESSAGE: Final = 4000  # characters of a model's own text that are passed on


class GatewayError(PlatformError):
    """A request can't be answered. `retry_after` is in seconds, where trying again is of use."""

    def __init__(
        self, kind: Kind, information: str, *, retry_after: int | None = None, status: int = 0
    ) -> None:
        super().__init__(f"{kind}: {information}")
        self.kind = kind
        self.information = information
        self.retry_after = retry_after
        self.status = status or HTTP[kind]  # HTTP's

    @property
    def grpc(self) -> int:
        """The number of gRPC's status."""
        return GRPC[self.kind]

    def envelope(self) -> bytes:
        return msgspec.json.encode({"error": str(self.kind), "information": self.information})


def unavailable(detail: str, retry_after: int = 1) -> GatewayError:
    """Nothing was done."""
    return GatewayError(Kind.UNAVAILABLE, f"UNAVAILABLE: {detail}", retry_after=retry_after)


def rejected(error: Rejected, who: str) -> GatewayError:
    """`who` answered with a status of gRPC other than OK."""
    code = Code(error.status)
    text = f"{code.name}: {error.message[:MESSAGE] or 'it says no more'} ({who})"
    match code:
        case Code.INVALID_ARGUMENT:
            return GatewayError(Kind.BAD_REQUEST, text)
        case Code.DEADLINE_EXCEEDED:
            return GatewayError(Kind.DEADLINE, text)
        case Code.UNAVAILABLE:
            return GatewayError(Kind.UNAVAILABLE, text, retry_after=1)
        case Code.RESOURCE_EXHAUSTED if "larger than max" in error.message:
            return GatewayError(Kind.TOO_LARGE, text)
        case Code.RESOURCE_EXHAUSTED:
            return unavailable(text)
        case _:
            return GatewayError(Kind.INTERNAL, text)


def failed(failure: Failed, who: str) -> GatewayError:
    """`who` could not be reached, or its answer did not come."""
    if failure.safe:
        return unavailable(f"{failure.detail} ({who})")
    if failure.trouble is Trouble.SILENT:
        return GatewayError(Kind.DEADLINE, f"DEADLINE_EXCEEDED: {failure.detail} ({who})")
    if failure.trouble is Trouble.DROPPED:
        return GatewayError(Kind.BROKEN, f"UNAVAILABLE: {failure.detail} ({who})")
    return GatewayError(Kind.BROKEN, f"UNKNOWN: {failure.detail} ({who})")
