"""Where profiles are kept: what is counted in, and what is known of a version's fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from services.builder.profiles.compare import Distance, Sketch
from services.builder.profiles.sketches import profiled
from shared.contract import Contract
from shared.database.events import announce
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.database.versions import VERSION
from shared.endpoint import Definition, Model
from shared.events import ModelDrifted
from shared.ids import VersionId

PROFILE_KEEP = sql(__package__, "profile_keep")
PROFILES = sql(__package__, "profiles")
SAMPLES_TAKE = sql(__package__, "samples_take")
DRIFT_KEEP = sql(__package__, "drift_keep")

EVER: Final = datetime.min  # what asyncpg writes as -infinity ...
ALWAYS: Final = datetime.max  # ... and as infinity

Source = Literal["training", "traffic", "recent"]


class Counted(msgspec.Struct, frozen=True):
    version: VersionId
    hour: datetime
    body: bytes


async def samples(connection: Connection, most: int, size: int) -> list[Counted]:
    """The oldest, which are gone once the transaction is."""
    rows = await connection.fetch(SAMPLES_TAKE, most, size)
    return [Counted(VersionId(row["version"]), row["hour"], row["body"]) for row in rows]


async def contract(connection: Connection, version: VersionId) -> Contract | None:
    row = await connection.fetchrow(VERSION, version)
    return None if row is None else contract_of(msgspec.convert(row["definition"], Definition))


def contract_of(definition: Definition) -> Contract | None:
    entries = (endpoint.entry for endpoint in definition.endpoints)
    return next((entry.contract for entry in entries if isinstance(entry, Model)), None)


async def keep(
    connection: Connection,
    version: VersionId,
    source: Source,
    sketches: Mapping[str, Sketch],
    hour: datetime = EVER,
) -> None:
    for field, sketch in sketches.items():
        values = (version, field, source, hour, sketch.dump(), sketch.summary())
        await connection.execute(PROFILE_KEEP, *values)


async def known(
    connection: Connection,
    version: VersionId,
    contract: Contract,
    source: Source,
    since: datetime = EVER,
    until: datetime = ALWAYS,
) -> dict[str, Sketch]:
    """All that is known of some hours, merged, by field."""
    kinds = {name: kind for name, _, kind in profiled(contract)}
    found: dict[str, Sketch] = {}
    for row in await connection.fetch(PROFILES, version, source, since, until):
        field = row["field"]
        if field not in kinds:
            continue
        sketch = kinds[field].load(row["sketch"])
        if field in found:
            found[field].merge(sketch)  # type: ignore[arg-type]
        else:
            found[field] = sketch
    return found


async def keep_distances(
    connection: Connection, version: VersionId, field: str, rows: int, found: Iterable[Distance]
) -> None:
    """Write distances down, and announce a field that has just gone too far."""
    for distance in found:
        values = (distance.metric, distance.value, distance.threshold, distance.drifted)
        row = await connection.fetchrow(DRIFT_KEEP, version, field, *values, rows)
        if row is None:
            continue
        fact = ModelDrifted(
            version=version,
            model=row["model"],
            version_name=row["name"],
            field=field,
            metric=distance.metric,
            value=distance.value,
            threshold=distance.threshold,
        )
        await announce(connection, fact, project=row["project"], source=row["source"])
