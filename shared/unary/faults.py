"""What a server may do wrong, and how much of the connection ends with it."""

from __future__ import annotations

from shared.unary.codes import Reset


class ConnectionFault(Exception):
    """Nothing that it says on this connection can be relied on any more."""

    def __init__(self, code: Reset, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class CallFault(Exception):
    """This one answer is not to be used; the others are as good as ever."""

    def __init__(self, detail: str, code: Reset = Reset.PROTOCOL_ERROR) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
