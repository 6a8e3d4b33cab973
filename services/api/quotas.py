"""Quotas: what an owner may have of a target. Operators write them, owners read their own."""

from __future__ import annotations

import re
from typing import Any, Final

from services.api import cursor, refused
from services.api.answer import Answer
from services.api.call import Call
from services.api.owners import known
from services.api.paging import limit, page, rows_of
from services.api.types import NoQuery, Paging
from services.api.types_scheduling import ALL, NewQuota, Quota
from shared.database.events import announce
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.endpoint import gpu_type
from shared.errors import Invalid
from shared.events import QuotaWritten

QUOTAS = sql(__package__, "quotas")
QUOTA_PUT = sql(__package__, "quota_put")
QUOTA_REMOVE = sql(__package__, "quota_remove")

TYPE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
Place = tuple[str, str, str]
"""Owner, target and GPU type."""


async def index(call: Call[Paging, None]) -> Answer:
    return await _list(call, call.who.only)


async def of_owner(call: Call[Paging, None]) -> Answer:
    return await _list(call, await known(call))


async def _list(call: Call[Paging, None], owner: str | None) -> Answer:
    after = cursor.words("quotas", call.query.after, 3) or (None, None, None)
    rows = await call.database.fetch(QUOTAS, owner, None, None, *after, limit(call.query) + 1)
    columns = ("owner", "target", "gpu_type")
    return Answer(page(rows, call.query, "quotas", columns, rows_of(Quota)))


async def show(call: Call[NoQuery, None]) -> Answer:
    place = await _place(call)
    async with call.database.connection() as connection:
        return Answer(await _read(connection, place))


async def put(call: Call[NoQuery, NewQuota]) -> Answer:
    """Writing it twice is writing it once."""
    asked, place = call.body, await _place(call)
    call.context.target(place[1])
    if not TYPE.fullmatch(place[2]) and place[2] != ALL:
        raise Invalid("gpu_type", f"must be a type such as rtx3090, or {ALL} for all together")

    async def write(connection: Connection) -> Answer:
        said = (asked.nominal, asked.borrow, asked.cohort)
        if await connection.fetchval(QUOTA_PUT, *place, *said) is not None:
            await announce(connection, _fact(place, call.who.token, asked))
        return Answer(await _read(connection, place))

    return await call.once(write)


async def remove(call: Call[NoQuery, None]) -> Answer:
    place = await _place(call)

    async def write(connection: Connection) -> Answer:
        if await connection.fetchval(QUOTA_REMOVE, *place) is None:
            raise refused.missing("quota")
        await announce(connection, _fact(place, call.who.token))
        return Answer(None, 204)

    return await call.once(write)


async def _place(call: Call[Any, Any]) -> Place:
    """The quota in the path; a GPU's type is taken as people and drivers write it."""
    owner, kind = await known(call), call.path["gpu_type"]
    return owner, call.path["target"], kind if kind == ALL else gpu_type(kind)


async def _read(connection: Connection, place: Place) -> Quota:
    row = await connection.fetchrow(QUOTAS, *place, None, None, None, 1)
    if row is None:
        raise refused.missing("quota")
    return rows_of(Quota)(row)


def _fact(place: Place, by: str, asked: NewQuota | None = None) -> QuotaWritten:
    owner, target, kind = place
    return QuotaWritten(
        owner=owner,
        target=target,
        gpu_type=kind,
        nominal=None if asked is None else asked.nominal,
        borrow=None if asked is None else asked.borrow,
        cohort="" if asked is None else asked.cohort,
        by=by,
    )
