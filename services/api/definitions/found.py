"""Model versions as applications and servables name them, found once in a transaction."""

from __future__ import annotations

import msgspec

from services.api.definitions.work import Work
from services.api.formats.checks import short
from shared.database.sqlfile import sql
from shared.database.versions import VersionState
from shared.endpoint import Definition, Model
from shared.ids import VersionId

MODEL_VERSION = sql("services.api", "model_version")
MODEL_SPAN = sql("services.api", "model_span")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    name: str  # of the version
    version: VersionId
    target: str
    entry: Model

    def __str__(self) -> str:
        return f"{self.model}:{self.name}"


class Versions:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._found: dict[tuple[str, str], Found | str] = {}

    async def find(self, model: str, version: str) -> Found | str:
        """Or why it can't be had."""
        key = (model, version)
        if key not in self._found:
            self._found[key] = await self._look(model, version)
        return self._found[key]

    async def newer(self, found: Found) -> Found | None:
        """The newest version of its model, where that is another and could be had."""
        place = (self._work.project.seq, found.model)
        newest = str(await self._work.connection.fetchval(MODEL_SPAN, *place))
        other = found if newest == found.name else await self.find(found.model, newest)
        return other if isinstance(other, Found) and other is not found else None

    async def _look(self, model: str, version: str) -> Found | str:
        place = (self._work.project.seq, model)
        row = await self._work.connection.fetchrow(MODEL_VERSION, *place, version)
        if row is None:
            count = await self._work.connection.fetchval(MODEL_SPAN, *place)
            if count:
                return f"{model} has no version {version}; its newest is {count}"
            return f"this project has no model {short(model)}"
        if row["state"] == VersionState.FAILED:
            why = f": {row['reason']}" if row["reason"] else ""
            return f"{model}:{version} could not be built{why[:300]}"
        entry = msgspec.convert(row["definition"], Definition).endpoints[0].entry
        assert isinstance(entry, Model)
        return Found(
            model=model,
            name=version,
            version=VersionId(row["id"]),
            target=row["target"],
            entry=entry,
        )
