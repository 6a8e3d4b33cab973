"""Owners and their tokens."""

from __future__ import annotations

from typing import Any

from services.api import cursor, refused, token
from services.api.answer import Answer, created
from services.api.call import Call
from services.api.paging import limit, page, rows_of
from services.api.types import (
    Empty,
    MadeToken,
    NewOwner,
    NewToken,
    NoQuery,
    Owner,
    Paging,
    Token,
    Whoami,
)
from shared import ids
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.errors import Invalid

OWNER_MAKE = sql(__package__, "owner_make")
OWNER = sql(__package__, "owner")
OWNERS = sql(__package__, "owners")
TOKEN_MAKE = sql(__package__, "token_make")
TOKENS = sql(__package__, "tokens")
TOKEN_REVOKE = sql(__package__, "token_revoke")

RESERVED = frozenset({"livez", "readyz", "metrics", "endpoints", "gateway", "v1", "v2"})
"""First words of addresses that belong to the platform."""


async def whoami(call: Call[NoQuery, None]) -> Answer:
    who = call.who
    return Answer(Whoami(owner=who.owner, role=who.role, router_url=call.context.router_url))


async def make(call: Call[NoQuery, NewOwner]) -> Answer:
    name = call.body.name
    if name in RESERVED:
        raise Invalid("name", "is reserved for the platform")

    async def write(connection: Connection) -> Answer:
        row = await connection.fetchrow(OWNER_MAKE, name)
        if row is None:
            raise refused.conflict("name-taken", "There is an owner of that name")
        return created(rows_of(Owner)(row))

    return await call.once(write)


async def index(call: Call[Paging, None]) -> Answer:
    after = cursor.words("owners", call.query.after, 1)
    rows = await call.database.fetch(
        OWNERS, call.who.only, after[0] if after else None, limit(call.query) + 1
    )
    return Answer(page(rows, call.query, "owners", "name", rows_of(Owner)))


async def show(call: Call[NoQuery, None]) -> Answer:
    row = await call.database.row(OWNER, call.owner())
    if row is None:
        raise refused.missing("owner")
    return Answer(rows_of(Owner)(row))


async def known(call: Call[Any, Any]) -> str:
    """The owner in the path, who is there and may be seen."""
    owner = call.owner()
    if await call.database.row(OWNER, owner) is None:
        raise refused.missing("owner")
    return owner


def _check_grant(call: Call[NoQuery, NewToken]) -> None:
    """Nobody hands out more than they hold: neither a higher role nor a longer life."""
    asked, who = call.body, call.who
    if asked.expires_at is not None and asked.expires_at.tzinfo is None:
        raise Invalid("expires_at", "must name its time zone, such as 2030-01-01T00:00:00Z")
    if not who.may(asked.role):
        raise refused.forbidden(f"a {who.role} token can't make {asked.role} tokens")
    if who.remaining is not None and who.role != "admin":
        raise refused.forbidden("a token that expires can't make others")


async def make_token(call: Call[NoQuery, NewToken]) -> Answer:
    owner, asked = await known(call), call.body
    _check_grant(call)
    secret = token.mint()

    async def write(connection: Connection) -> Answer:
        values = (asked.role, token.hashed(secret), asked.note, asked.expires_at)
        row = await connection.fetchrow(TOKEN_MAKE, ids.new("t"), owner, *values)
        assert row is not None
        return Answer(MadeToken(token=secret, **dict(row)), 201, keep=False)

    return await call.once(write)


async def tokens(call: Call[Paging, None]) -> Answer:
    owner = await known(call)
    before = cursor.number("tokens", call.query.after)
    rows = await call.database.fetch(TOKENS, owner, before, limit(call.query) + 1)
    return Answer(page(rows, call.query, "tokens", "seq", rows_of(Token)))


async def revoke_token(call: Call[NoQuery, Empty]) -> Answer:
    if await call.database.value(TOKEN_REVOKE, call.owner(), call.path["token"]) is None:
        raise refused.missing("token")
    return Answer(None, 204)
