"""What answers the calls of one path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Method(Protocol):
    def hold(self, more: int, mine: int) -> None:
        """`more` bytes of a message are about to be kept, and `mine` of it are. Raises Refused."""

    def free(self, size: int) -> None:
        """So many bytes that were held are kept no longer."""

    async def answer(self, message: bytes, deadline: float | None) -> bytes:
        """The answer. `deadline` is of time.monotonic(), and for the method to heed.

        Raises Refused. Is cancelled when nobody waits for the answer any more, and a second after
        the deadline.
        """


Methods = Mapping[bytes, Method]
"""By path: `/package.Service/Method`."""
