"""Tokens: 256 bits of chance that are shown once; only their SHA-256 is kept.

Looking a token up by its hash compares nothing secret, so there is no time to measure.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
import time
from collections.abc import Callable
from typing import Final

import msgspec

from services.api import refused
from services.api.types import Role
from shared.database.pool import Database
from shared.database.sqlfile import sql

TOKEN_CHECK = sql(__package__, "token_check")

FORM: Final = re.compile(r"slp_[A-Za-z0-9_-]{43}")
TRUST: Final = 2.0  # seconds for which a checked token is not checked again
KNOWN: Final = 4096  # tokens remembered at most
RANK: Final[dict[Role, int]] = {"read": 0, "write": 1, "admin": 2}


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. An admin may do everything, for every owner."""

    token: str  # its id
    owner: str
    role: Role
    remaining: float | None  # seconds of life when it was checked; None: it does not expire

    def may(self, role: Role) -> bool:
        return RANK[self.role] >= RANK[role]

    def sees(self, owner: str) -> bool:
        return self.role == "admin" or self.owner == owner

    @property
    def only(self) -> str | None:
        """The one owner whose things it sees, None for all."""
        return None if self.role == "admin" else self.owner


def mint() -> str:
    return "slp_" + secrets.token_urlsafe(32)


def hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def presented(authorization: str | None, *, passwords: bool = False) -> str:
    """The token in an Authorization header; with `passwords`, also one that is sent as such."""
    if authorization is None:
        raise refused.unauthorised("send `Authorization: Bearer <token>`")
    scheme, _, rest = authorization.partition(" ")
    basic = passwords and scheme.lower() == "basic"
    token = _password(rest.strip()) if basic else rest.strip()
    if not (basic or scheme.lower() in ("bearer", "token")) or not FORM.fullmatch(token):
        raise refused.unauthorised("send `Authorization: Bearer <token>`")
    return token


def _password(text: str) -> str:
    """Of a client that knows names and passwords alone; the name is not looked at here."""
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


class Tokens:
    """Checks tokens against the database, at most once in two seconds each."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[bytes, tuple[float, Identity]] = {}

    async def identify(self, token: str) -> Identity:
        key = hashed(token)
        until, identity = self._known.get(key, (0.0, None))
        if identity is not None and self._clock() < until:
            return identity
        self._known.pop(key, None)
        asked = self._clock()
        row = await self._database.row(TOKEN_CHECK, key)
        if row is None:
            raise refused.unauthorised("the token is unknown, revoked or expired")
        identity = msgspec.convert(dict(row), Identity)
        life = TRUST if identity.remaining is None else min(TRUST, identity.remaining)
        if len(self._known) >= KNOWN:
            self._known.clear()
        self._known[key] = (asked + life, identity)
        return identity
