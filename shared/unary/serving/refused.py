"""The answer that is no message: a status of gRPC other than OK."""

from __future__ import annotations

from shared.errors import PlatformError
from shared.unary.codes import Code

Metadata = tuple[tuple[str, str], ...]


class Refused(PlatformError):
    """A call ends with this status. Names and values of `metadata` are printable ASCII."""

    def __init__(self, code: Code, text: str, metadata: Metadata = ()) -> None:
        super().__init__(f"{code.name}: {text}")
        self.code = code
        self.text = text
        self.metadata = metadata
