"""Resource definitions, applied: checked whole, then written in one transaction or not at all."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from services.api import source, uploads
from services.api.answer import Answer
from services.api.call import Call, Project
from services.api.context import Context
from services.api.definitions import applications, configurations, models
from services.api.definitions.work import Changed, Work
from services.api.formats.checks import Wrongs
from services.api.formats.hydrosphere import document
from services.api.formats.hydrosphere.document import Document, Documents
from services.api.formats.hydrosphere.model import Model
from services.api.types import NoQuery
from services.api.types_hydrosphere import Changes, NewDefinition, NewDefinitions
from shared.blobs import Blob
from shared.database.pool import Connection, Database
from shared.endpoint import Definition
from shared.errors import Invalid

VARIANTS: Final = 300  # of the applications in one request

Write = Callable[[Connection], Awaitable[Answer]]


async def apply(call: Call[NoQuery, NewDefinitions]) -> Answer:
    project, asked = await call.project(), call.body
    if asked.target:
        call.context.target(asked.target)
    read, wrongs = _read(call.context, asked)
    await _check_uploads(call.context, project, read.models, asked.documents, wrongs)
    wrongs.check()
    empty = await _empty(call.context)
    made = [await _definition(call.context, each, asked, empty) for each in read.models]

    async def write(connection: Connection) -> Answer:
        wrongs.clear()  # of a try before
        work = Work(
            connection=connection,
            project=project,
            context=call.context,
            asked=asked.target,
            by=call.who.token,
            any_class=call.who.may("admin"),
            wrongs=wrongs,
        )
        if any(definition.source == empty.digest for definition in made):
            values = (project.seq, empty.digest, empty.size)
            await connection.execute(uploads.UPLOAD_KEEP, *values)
        changed = await _write(work, read, list(zip(read.models, made, strict=True)))
        changes = [change for _, change in sorted(changed, key=lambda each: each[0])]
        return Answer(Changes(changes=changes, dry_run=asked.dry_run))

    return await (rehearse(call.database, write) if asked.dry_run else call.once(write))


async def rehearse(database: Database, write: Write) -> Answer:
    """What `write` would answer. Nothing of it stays."""

    async def work(connection: Connection) -> Answer:
        transaction = connection.transaction()
        await transaction.start()
        try:
            return await write(connection)
        finally:
            await transaction.rollback()

    return await database.lend(work)


def _read(context: Context, asked: NewDefinitions) -> tuple[Documents, Wrongs]:
    """What the documents say, and what is wrong with them by themselves."""
    wrongs = Wrongs()
    sent: list[tuple[str, Any]] = [(each.source, each.document) for each in asked.documents]
    read = document.read(sent, context.runtimes, wrongs)
    stages = (stage for each in read.applications for stage in each.value.stages)
    if sum(len(stage.variants) for stage in stages) > VARIANTS:
        wrongs.add("documents", f"have more than {VARIANTS} models in all their applications")
    return read, wrongs


async def _check_uploads(
    context: Context,
    project: Project,
    found: Sequence[Document[Model]],
    sent: Sequence[NewDefinition],
    wrongs: Wrongs,
) -> None:
    named: dict[str, str] = {}
    for each in found:
        at, given = f"documents[{each.index}]", sent[each.index]
        if given.payload is not None:
            named[f"{at}.payload"] = given.payload
        elif each.value.payload:
            each.report.wrong("payload", "is missing; upload an archive of it, and send its digest")
        if given.training is not None:
            named[f"{at}.training"] = given.training
            if each.value.uri:
                each.report.wrong("training", "is given, and training-data lies elsewhere")
        elif each.value.local:
            said = "is missing; upload the file that training-data names, and send its digest"
            each.report.wrong("training", said)
    for wrong in await uploads.unknown(context.database, project.seq, named):
        wrongs.add(wrong.field, wrong.message)


async def _definition(
    context: Context, model: Document[Model], asked: NewDefinitions, empty: Blob
) -> Definition:
    """All that the version is made of. Raises Invalid when its archive is not sound."""
    given = asked.documents[model.index]
    payload = given.payload or empty.digest
    try:
        await source.inspect(context, payload, "payload", "")
    except Invalid as error:
        wrongs = Wrongs()
        for wrong in error.errors:
            wrongs.add(f"documents[{model.index}].{wrong.field}", wrong.message)
        raise Invalid.of(wrongs) from error
    training = model.value.training(given.training)
    return Definition(source=payload, endpoints=(model.value.endpoint,), training=training)


async def _empty(context: Context) -> Blob:
    """An archive of nothing, for a model whose runtime needs no files."""
    packed = io.BytesIO()
    tarfile.open(fileobj=packed, mode="w").close()
    return await context.blobs.put_bytes(packed.getvalue())


async def _write(
    work: Work, read: Documents, wanted: Sequence[tuple[Document[Model], Definition]]
) -> list[Changed]:
    """In the order in which things name one another."""
    reports = {each.value.name: each.report for each in read.configurations}
    changes = await configurations.write(work, read.configurations)
    changes += await models.write(work, wanted)
    changes += await applications.write(work, read.applications, reports)
    work.wrongs.check()
    return changes
