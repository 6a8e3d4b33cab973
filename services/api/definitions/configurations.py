"""Configurations, written. Servables that are there keep what they were made with."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.api.definitions import able
from services.api.definitions.work import Changed, Work
from services.api.formats.hydrosphere.configuration import Configuration
from services.api.formats.hydrosphere.document import Document
from services.api.types_hydrosphere import Change
from shared.application import Configuration as Settings
from shared.database.events import announce
from shared.database.sqlfile import sql
from shared.errors import Transient
from shared.events import ConfigurationWritten

CONFIGURATION_MAKE = sql("services.api", "configuration_make")
CONFIGURATION_LOCK = sql("services.api", "configuration_lock")
CONFIGURATION_CHANGE = sql("services.api", "configuration_change")
CONFIGURATION_BODY = sql("services.api", "configuration_body")


async def write(work: Work, documents: Sequence[Document[Configuration]]) -> list[Changed]:
    return [
        (document.index, await _write(work, document))
        for document in sorted(documents, key=lambda document: document.value.name)
    ]


async def _write(work: Work, document: Document[Configuration]) -> Change:
    project, value = work.project, document.value
    place = (project.seq, value.name)
    target = work.asked or work.context.target("")
    for remark in able.remarks(value.settings, target):
        document.report.note(remark.path, remark.message)
    values = (*place, value.settings, document.written)
    action = "create"
    if await work.connection.fetchval(CONFIGURATION_MAKE, *values) is None:
        row = await work.connection.fetchrow(CONFIGURATION_LOCK, *place)
        if row is None:
            raise Transient("a configuration was removed at this moment")
        same = msgspec.convert(row["body"], Settings) == value.settings
        action = "unchanged" if same and row["written"] == document.written else "update"
    if action == "update":
        await work.connection.execute(CONFIGURATION_CHANGE, *values)
    if action != "unchanged":
        fact = ConfigurationWritten(configuration=value.name)
        await announce(work.connection, fact, project=project.seq, source=project.source)
    said = {"kind": "DeploymentConfiguration", "name": value.name, "action": action}
    more = {"version": None, "id": None, "source": document.source}
    return msgspec.convert(said | more | {"notes": list(document.report.notes)}, Change)


async def find(work: Work, name: str) -> Settings | None:
    """As it is now, also if this transaction wrote it. "" is the usual one."""
    if not name:
        return Settings()
    body = await work.connection.fetchval(CONFIGURATION_BODY, work.project.seq, name)
    return None if body is None else msgspec.convert(body, Settings)
