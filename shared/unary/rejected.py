"""The answer that is no message: a status of gRPC other than OK."""

from __future__ import annotations

from shared.errors import PlatformError
from shared.unary.codes import Code


class Rejected(PlatformError):
    """The server took the call and answered with this status, which is not OK."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{Code(status).name}: {message}" if message else Code(status).name)
        self.status = status  # one of Code
        self.message = message  # the server's own words: any text of limited length
