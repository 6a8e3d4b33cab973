"""What the router and the doorman of a replica's copy say to each other before any request.

A copy's address may be somebody else's by the time that it is dialled. So the router sends NONCE
random bytes and nothing more, and the doorman (runtimes/doorman.py, which can't import this file)
answers PROOF bytes that only somebody with the replica's secret can make, for that nonce, at that
address. From then on the connection is the server's.

The address is part of it, or a stranger who has come by an old address of the replica could pass
the nonce on to a copy that is left, and its answer back.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
from collections.abc import Iterable
from typing import Final

PORT: Final = 7200  # where doormen listen
STATUS: Final = 7201  # where they tell whether their server is ready
NONCE: Final = 16
PROOF: Final = 32
SHORTEST: Final = 32  # characters of a key


def keys(setting: str) -> tuple[str, ...]:
    """The keys in DOORMAN_KEY: the first makes new secrets, any is good for those that exist.

    Raises ValueError when one of them could be guessed.
    """
    found = tuple(key for part in setting.split(",") if (key := part.strip()))
    if any(len(key) < SHORTEST for key in found):
        raise ValueError(f"a key must have {SHORTEST} characters at least")
    return found


def secret(key: str, job: str, attempt: int) -> str:
    """What all copies of one attempt share with the router, as DOORMAN_SECRET has it."""
    return hmac.new(key.encode(), f"{job}-{attempt}".encode(), hashlib.sha256).hexdigest()


def proof(secret: str, nonce: bytes, host: str, port: int) -> bytes:
    """`host` is the address as a number, as both ends of the connection see it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    place = socket.inet_pton(family, host.partition("%")[0]) + port.to_bytes(2, "big")
    return hmac.digest(bytes.fromhex(secret), nonce + place, "sha256")


def proven(given: bytes, secrets: Iterable[str], nonce: bytes, host: str, port: int) -> bool:
    """Whether `given` is the proof by one of `secrets`."""
    return any(hmac.compare_digest(given, proof(one, nonce, host, port)) for one in secrets)
