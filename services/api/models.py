"""Models and their versions, as people see them. They are made by applying definitions."""

from __future__ import annotations

from typing import Any, Final

import asyncpg
import msgspec
from aiohttp import web

from services.api import cursor, logs, profiles, refused
from services.api.answer import Answer
from services.api.call import Call, Project
from services.api.paging import limit, page
from services.api.types import Empty, Following, NoQuery, Paging
from services.api.types_hydrosphere import ModelSummary, ModelVersion, VersionStatus
from shared.database import versions as table
from shared.database.pool import Connection
from shared.database.sqlfile import sql
from shared.database.versions import CANCELLED, VersionState
from shared.endpoint import Definition, Model
from shared.ids import VersionId

MODELS = sql(__package__, "models")
MODEL_VERSIONS = sql(__package__, "model_versions")

STATUS: Final[dict[VersionState, VersionStatus]] = {
    VersionState.BUILDING: "Assembling",
    VersionState.READY: "Released",
    VersionState.FAILED: "Failed",
}


async def index(call: Call[Paging, None]) -> Answer:
    project = await call.project()
    after = cursor.number("models", call.query.after)
    rows = await call.database.fetch(MODELS, project.seq, None, after, limit(call.query) + 1)
    return Answer(page(rows, call.query, "models", "seq", _summary))


async def _find(call: Call[Any, Any]) -> tuple[Project, asyncpg.Record]:
    project = await call.project()
    row = await call.database.row(MODELS, project.seq, call.path["model"], None, 1)
    if row is None:
        raise refused.missing("model", call.path["model"])
    return project, row


async def show(call: Call[NoQuery, None]) -> Answer:
    _, row = await _find(call)
    return Answer(_summary(row))


def _summary(row: asyncpg.Record) -> ModelSummary:
    status = STATUS[VersionState(row["state"])]
    return msgspec.convert(dict(row) | {"status": status}, ModelSummary)


async def versions(call: Call[Paging, None]) -> Answer:
    _, model = await _find(call)
    before = cursor.number("model-versions", call.query.after)
    values = (model["id"], None, before, limit(call.query) + 1)
    rows = await call.database.fetch(MODEL_VERSIONS, *values)
    return Answer(page(rows, call.query, "model-versions", "seq", _version))


async def _find_version(call: Call[Any, Any]) -> asyncpg.Record:
    _, model = await _find(call)
    values = (model["id"], call.path["version"], None, 1)
    row = await call.database.row(MODEL_VERSIONS, *values)
    if row is None:
        raise refused.missing("version", f"{call.path['model']}:{call.path['version']}")
    return row


async def version(call: Call[NoQuery, None]) -> Answer:
    return Answer(_version(await _find_version(call)))


async def version_profile(call: Call[NoQuery, None]) -> Answer:
    row = await _find_version(call)
    definition = msgspec.convert(row["definition"], Definition)
    found = (row["model"], row["name"], VersionId(row["id"]), definition)
    return Answer(await profiles.profile(call.database, *found))


async def version_cancel(call: Call[NoQuery, Empty]) -> Answer:
    """What has failed stays as it is, so that cancelling twice is cancelling once."""
    _, model = await _find(call)
    found = await _find_version(call)

    async def write(connection: Connection) -> Answer:
        await table.fail(connection, VersionId(found["id"]), CANCELLED)
        row = await connection.fetchrow(MODEL_VERSIONS, model["id"], found["name"], None, 1)
        assert row is not None
        if row["state"] == VersionState.READY:
            detail = "there is no build to cancel"
            raise refused.conflict("version-state", "The version is ready", detail)
        return Answer(_version(row))

    return await call.once(write)


async def version_logs(call: Call[Following, None]) -> Answer | web.StreamResponse:
    """Of its build."""
    return await logs.of(call, VersionId((await _find_version(call))["id"]))


def _version(row: asyncpg.Record) -> ModelVersion:
    definition = msgspec.convert(row["definition"], Definition)
    endpoint = definition.endpoints[0]
    entry = endpoint.entry
    assert isinstance(entry, Model)
    return ModelVersion(
        id=row["id"],
        owner=row["owner"],
        project=row["project"],
        model=row["model"],
        name=row["name"],
        state=VersionState(row["state"]),
        status=STATUS[VersionState(row["state"])],
        reason=row["reason"],
        target=row["target"],
        runtime=entry.runtime,
        server=entry.server,
        calls=entry.calls,
        contract=entry.contract,
        metadata=entry.metadata,
        install=list(endpoint.install),
        payload=definition.source,
        training=definition.training,
        image=row["images"].get(endpoint.name, ""),
        repository=row["repository"],
        notes=list(row["notes"]),
        created_at=row["created_at"],
        changed_at=row["changed_at"],
    )
