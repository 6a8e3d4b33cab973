"""What clients that nobody knows may make a server hold, do and wait for."""

from __future__ import annotations

from typing import Final

import msgspec

MIB: Final = 1 << 20


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    message: int = 256 * MIB  # bytes of a request, as much as runtimes take
    calls: int = 1024  # at once; one more is RESOURCE_EXHAUSTED
    streams: int = 256  # of them, on one connection; others wait
    metadata: int = 16 << 10  # bytes that are said about a call; twice as many end the connection
    connections: int = 1024  # one more takes the place of the one that was idle longest
    unsent: int = 512 * MIB  # bytes of answers that clients don't take; one alone may be any size

    greeting: float = 10.0  # seconds for a client to say that it speaks HTTP/2
    slow: float = 30.0  # ... and to send a message
    stall: float = 60.0  # ... to take some of its answer
    quiet: float = 60.0  # of silence until a client is asked whether it is there ...
    echo: float = 20.0  # ... and to answer that
    idle: float = 900.0  # without a call until it is told to go
    between: float = 10.0  # from one of its own pings to the next, while it is told nothing else

    @property
    def tick(self) -> float:
        """Seconds from one look at all of them to the next."""
        times = (self.greeting, self.slow, self.stall, self.quiet, self.echo, self.idle)
        return min(1.0, min(times) / 4)
