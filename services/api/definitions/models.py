"""Models, written: a document that says what the newest version is made of changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Literal

import asyncpg
import msgspec

from services.api import versions
from services.api.definitions.work import Changed, Work
from services.api.formats.hydrosphere.document import Document
from services.api.formats.hydrosphere.model import Model
from services.api.types_hydrosphere import Change
from shared import ids
from shared.database.sqlfile import sql
from shared.database.versions import VersionState
from shared.endpoint import Definition
from shared.image import has_base

MODEL_MAKE = sql("services.api", "model_make")
MODEL_LOCK = sql("services.api", "model_lock")
MODEL_NEWEST = sql("services.api", "model_newest")

Wanted = tuple[Document[Model], Definition]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A version that is there. None: it failed, so it is nothing to go by."""

    id: str
    name: str
    definition: Definition | None


async def write(work: Work, wanted: Sequence[Wanted]) -> list[Changed]:
    """Several documents of one name are several versions, in the order of the documents."""
    ordered = sorted(wanted, key=lambda each: each[0].value.name)
    of_name = {name: list(each) for name, each in groupby(ordered, lambda each: each[0].value.name)}
    places = {name: await _lock(work, name) for name in of_name}  # before owners are locked
    changes: list[Changed] = []
    for name, each in of_name.items():
        row = places[name]
        for document, _ in each:
            _check(work, document, row["target"])
        changes += await _versions(work, row["id"], each)
    return changes


async def _lock(work: Work, name: str) -> asyncpg.Record:
    """The model's row, which nobody else writes versions to until the transaction ends."""
    project = work.project.seq
    target = work.context.target(work.asked)
    await work.connection.execute(MODEL_MAKE, ids.new("d"), project, name, target)
    row = await work.connection.fetchrow(MODEL_LOCK, project, name)
    assert row is not None  # models are never removed
    work.stays(f"the model {name}", row["target"])
    return row


def _check(work: Work, document: Document[Model], target: str) -> None:
    entry = document.value.entry
    if entry.server == "runtime" and not has_base(target):
        known = ", ".join(work.context.runtimes)
        said = f"the target {target} runs no images of others; allowed there: {known}"
        document.report.wrong("runtime", said)


async def _versions(work: Work, model: str, wanted: Sequence[Wanted]) -> list[Changed]:
    rows = await work.connection.fetch(MODEL_NEWEST, model, len(wanted))
    before = [_made(row) for row in reversed(rows)]
    known, first = there(before, [definition for _, definition in wanted]), not before
    changes: list[Changed] = []
    for at, (document, definition) in enumerate(wanted):
        action: Literal["create", "update", "unchanged"] = "unchanged"
        if at < known:
            version = before[len(before) - known + at]
        elif before and before[-1].definition == definition:
            version = before[-1]
        else:
            name = str(int(before[-1].name) + 1) if before else "1"
            most, project = work.context.builds_per_owner, work.project
            made = await versions.submit(
                work.connection, project, definition, name, model, most=most
            )
            version = Made(id=made, name=name, definition=definition)
            before = [*before, version]
            action, first = "create" if first else "update", False
        change = Change(
            kind="Model",
            name=document.value.name,
            action=action,
            version=version.name,
            id=version.id,
            source=document.source,
            notes=list(document.report.notes),
        )
        changes.append((document.index, change))
    return changes


def _made(row: asyncpg.Record) -> Made:
    failed = row["state"] == VersionState.FAILED
    definition = None if failed else msgspec.convert(row["definition"], Definition)
    return Made(id=row["id"], name=row["name"], definition=definition)


def there(before: Sequence[Made], wanted: Sequence[Definition]) -> int:
    """How many of the first of `wanted` are the newest versions already, in the same order."""
    for count in range(min(len(before), len(wanted)), 0, -1):
        if [made.definition for made in before[-count:]] == list(wanted[:count]):
            return count
    return 0
