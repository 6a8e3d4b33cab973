"""Which builder fetches which source: taking one by lease, keeping it, and ending it.

The same as for versions (services/builder/claims.py): only whoever holds the lease writes the end.
"""

from __future__ import annotations

from typing import Final

import msgspec

from services.builder.git.fetch import Fetched
from shared.database.events import announce
from shared.database.pool import Database
from shared.database.sqlfile import sql
from shared.events import SourceFact, SourceFailed, SourceReady
from shared.ids import SourceId

CLAIM = sql(__package__, "claim")
RENEW = sql(__package__, "renew")
GIVE_BACK = sql(__package__, "give_back")
FINISH = sql(__package__, "finish")
KEEP = sql(__package__, "keep")

LEASE: Final = 15.0  # seconds that a builder may be silent before another one takes over


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A source that this builder may fetch."""

    id: SourceId
    lease: str
    url: str
    ref: str
    path: str
    claims: int  # that ended without a word, with this one
    errors: int  # tries that met trouble


class Failed(msgspec.Struct, frozen=True):
    """It can't be fetched as it was asked for, and why."""

    reason: str


async def claim(database: Database, lease: str, seconds: float = LEASE) -> Claim | None:
    """Take the source that has waited the longest."""
    row = await database.row(CLAIM, lease, seconds)
    return None if row is None else msgspec.convert(dict(row) | {"lease": lease}, Claim)


async def renew(database: Database, held: Claim, seconds: float = LEASE) -> bool:
    """False: the source is no longer ours."""
    return await database.value(RENEW, held.id, held.lease, seconds) is not None


async def give_back(database: Database, held: Claim, *, pause: float, errors: int = 0) -> None:
    """Let any builder have it after `pause` seconds. Giving back what is not ours does nothing."""
    await database.execute(GIVE_BACK, held.id, held.lease, pause, errors)


async def finish(database: Database, held: Claim, outcome: Fetched | Failed) -> bool:
    """End the fetch; what came belongs to the project's uploads, all or nothing.

    False: the lease was lost, and nothing was written.
    """
    async with database.transaction() as connection:
        row = await connection.fetchrow(FINISH, held.id, held.lease, *_columns(outcome))
        if row is None:
            return False
        if isinstance(outcome, Fetched):
            await connection.execute(KEEP, row["project"], outcome.blob.digest, outcome.blob.size)
        fact = _fact(held.id, outcome)
        await announce(connection, fact, project=row["project"], source=row["source"])
    return True


def _columns(outcome: Fetched | Failed) -> tuple[object, ...]:
    if isinstance(outcome, Fetched):
        blob = outcome.blob
        return "ready", blob.digest, blob.size, outcome.commit, outcome.notes, ""
    return "failed", None, None, None, (), outcome.reason


def _fact(source: SourceId, outcome: Fetched | Failed) -> SourceFact:
    if isinstance(outcome, Fetched):
        return SourceReady(source=source, commit=outcome.commit, digest=outcome.blob.digest)
    return SourceFailed(source=source, reason=outcome.reason)
