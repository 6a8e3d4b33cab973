"""How long and how much: no registry holds a caller longer or fills more memory than this."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    operation: float = 25.0  # seconds for a small operation, with all its attempts
    request: float = 10.0  # seconds for one of its requests
    silence: float = 12.0  # seconds in which a large body may stand still
    slowest: int = 100_000  # bytes a second below which a large body is given up
    attempts: int = 4
    pause: float = 0.2  # seconds before the second attempt; doubles each time
    longest_pause: float = 8.0  # also when a registry asks for more
    redirects: int = 3
    manifest: int = 4 << 20  # bytes, as in the distribution specification
    error: int = 64 << 10  # bytes of an answer that is no content, such as an error or a token
    layers: int = 500
    entries: int = 1_000  # manifests in an index
    tags: int = 20_000
    pages: int = 50

    def transfer(self, size: int) -> float:
        """Seconds for a blob of `size` bytes, with all attempts."""
        return self.operation + size / self.slowest
