"""From what people submit to a checked Definition: the one door to the formats."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from services.api import gpus, scheduling, several, sources, uploads
from services.api.call import Project
from services.api.context import Context
from services.api.formats import checks, proximl, valohai
from services.api.types import NewVersion
from services.api.types_git import NewSource
from services.api.types_proximl import NewEndpoint, NewModel
from shared import archive
from shared.database.sqlfile import sql
from shared.endpoint import GPU_TYPES, Definition, Endpoint, Origin, Scheduling
from shared.errors import Invalid
from shared.problems import Wrong
from shared.target import kind

ENDPOINT_GROUND = sql(__package__, "endpoint_ground")

CONFIG: Final = 1 << 20  # bytes of a valohai.yaml
REMEMBERED: Final = 64  # archives that were found sound


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What would be submitted, checked as far as it can be, and what the target has for it."""

    definition: Definition
    stock: gpus.Stock
    at: datetime | None = None  # when that was looked up, by the database's clock


async def version(
    context: Context, project: Project, target: str, asked: NewVersion, *, any_class: bool = False
) -> Plan:
    """Raises Invalid with all that is wrong. `any_class`: whoever asks need not heed the owner's
    allowance."""
    named = {"source": asked.source}
    for endpoint, files in asked.files.items():
        named |= {f"files.{endpoint}.{file}": digest for file, digest in files.items()}
    await _check_uploads(context, project, named)
    found = await inspect(context, asked.source, "source", valohai.FILENAME)
    endpoints = await asyncio.to_thread(_of_version, asked, found)
    definition = Definition(
        source=asked.source,
        endpoints=endpoints,
        files=asked.files,
        origin=await sources.origin(context.database, project.seq, asked.source),
    )
    if not any_class:
        wishes = {_scheduled(asked, made.name): made.scheduling for made in endpoints}
        _check(await scheduling.too_high(context.database, project.owner, wishes))
    stock = await gpus.stock_of(context.database, target)
    for made in endpoints:
        several.allowed(made, target, f".{made.name}")
    errors = [(made.name, gpus.check(made, stock)) for made in endpoints]
    _check([_of_endpoint(name, error) for name, error in errors if error is not None])
    return Plan(definition=definition, stock=stock)


def _scheduled(asked: NewVersion, endpoint: str) -> str:
    """The field that says of which class an endpoint is, or would."""
    named = checks.EVERY if checks.EVERY in asked.scheduling else endpoint
    return f"scheduling.{endpoint if endpoint in asked.scheduling else named}.priority"


def _of_endpoint(name: str, error: Invalid) -> Wrong:
    if error.field == "replicas":
        return Wrong(field=f"replicas.{name}", message=error.message)
    if error.field == "autoscaling.min":
        return Wrong(field=f"autoscaling.{name}.min", message=error.message)
    return Wrong(field="endpoint.resources.devices", message=f"{name}: {error.message}")


def _of_version(asked: NewVersion, found: bytes | None) -> tuple[Endpoint, ...]:
    """Blocks for as long as it takes to read a large file: call it in a thread."""
    text: str | bytes | None = found if asked.config is None else asked.config
    if text is None:
        raise Invalid("source", f"has no {valohai.FILENAME} at its root, and no config was sent")
    return valohai.endpoints(
        text,
        only=asked.endpoints,
        files=asked.files,
        environment=asked.environment,
        serving=asked.serving,
        scheduling=asked.scheduling,
        replicas=asked.replicas,
        autoscaling=asked.autoscaling,
        field="config" if asked.config is not None else valohai.FILENAME,
    )


async def endpoint(
    context: Context,
    project: Project,
    target: str,
    asked: NewEndpoint,
    *,
    preview: bool = False,
    any_class: bool = False,
) -> Plan:
    """Raises Invalid with all that is wrong. Code in a git repository is fetched, or left alone by
    a `preview`. `any_class`: whoever asks need not heed the owner's allowance."""
    made, stock = await _fitting(context, target, asked, late=not preview)
    wish = {} if any_class else {"scheduling.priority": made.scheduling}
    source, ground = asked.model.source_uri, Ground()
    if asked.model.source_type == "git":  # which is not fetched for what is too high
        _check(await scheduling.too_high(context.database, project.owner, wish))
        source = await _code(context, project, asked.model, fetch=not preview)
    if source:
        ground = await _ground(context, project, source, wish, preview=preview)
        await inspect(context, source, "model.source_uri", "")
    definition = Definition(source=source, endpoints=(made,), origin=ground.origin)
    return Plan(definition=definition, stock=stock, at=ground.at)


class Ground(msgspec.Struct, frozen=True):
    """Where code came from, and when that was looked up, by the database's clock."""

    origin: Origin | None = None
    at: datetime | None = None


async def _ground(
    context: Context,
    project: Project,
    source: str,
    wish: Mapping[str, Scheduling],
    *,
    preview: bool,
) -> Ground:
    """What the code is, if it is the project's and `wish` is not above what its owner may
    ask for. But for a `preview` it is not forgotten for a day from now."""
    asking = context.together(ENDPOINT_GROUND)
    row = await asking.row(project.seq, project.owner, source, owner=project.owner)
    _check(scheduling.above(project.owner, row["highest"], wish))
    if not row["there"]:
        _check(uploads.missing(["model.source_uri"]))
    if row["stale"] and not preview:
        await uploads.keep(context.database, project.seq, {source})
    origin = None if row["url"] is None else msgspec.convert(dict(row), Origin)
    return Ground(origin, row["at"])


async def _fitting(
    context: Context, target: str, asked: NewEndpoint, *, late: bool
) -> tuple[Endpoint, gpus.Stock]:
    """`late`: what the target had a moment ago will do, if it does; what is there now is looked at
    when it does not."""
    if late:
        stock = await gpus.late_stock_of(context, target)
        try:
            return _fits(asked, target, stock), stock
        except Invalid:
            pass
    stock = await gpus.stock_of(context.database, target)
    return _fits(asked, target, stock), stock


def _fits(asked: NewEndpoint, target: str, stock: gpus.Stock) -> Endpoint:
    known = {*GPU_TYPES, *(gpu.type for gpu in stock.types)}
    made = proximl.endpoint(asked, known=known, has_images=kind(target) != "process")
    several.allowed(made, target)
    error = gpus.check(made, stock)
    if error is not None and error.field not in gpus.COPIES:
        raise Invalid(f"resources.{error.field}", error.message)
    if error is not None:
        raise error
    return made


async def _code(context: Context, project: Project, model: NewModel, *, fetch: bool) -> str:
    """The digest of a repository's code; "" for code that was not to be fetched."""
    try:
        wanted = NewSource(url=model.source_uri, ref=model.source_ref)
        checked = sources.checked(wanted, context.trusted)
        return await sources.fetched(context, project, checked) if fetch else ""
    except Invalid as error:
        raise Invalid.of([_of_model(wrong) for wrong in error.errors]) from error


def _of_model(wrong: Wrong) -> Wrong:
    fields = {"url": "model.source_uri", "ref": "model.source_ref"}
    return Wrong(field=fields.get(wrong.field, "model.source_uri"), message=wrong.message)


async def _check_uploads(context: Context, project: Project, named: dict[str, str]) -> None:
    _check(await uploads.unknown(context.database, project.seq, named))


def _check(wrongs: Sequence[Wrong]) -> None:
    if wrongs:
        raise Invalid.of(wrongs)


async def inspect(context: Context, digest: str, field: str, wanted: str) -> bytes | None:
    """The content of the member `wanted` of a sound archive, if it is there.

    A digest names the same archive for ever, so a sound one is remembered.
    """
    seen, key = context.inspected, (digest, wanted)
    if key not in seen:
        async with context.inspecting:
            found = await _look(context, digest, field, wanted)
        if len(seen) >= REMEMBERED:
            seen.pop(next(iter(seen)))
        seen[key] = found
    return seen[key]


async def _look(context: Context, digest: str, field: str, wanted: str) -> bytes | None:
    with tempfile.TemporaryDirectory(prefix="slipway-source-") as folder:
        path = Path(folder) / "source"
        with path.open("wb") as file:
            async for chunk in context.blobs.stream(digest):
                await asyncio.to_thread(file.write, chunk)
        return await asyncio.to_thread(_read, path, field, wanted)


def _read(path: Path, field: str, wanted: str) -> bytes | None:
    archive.inspect(path, field=field)
    return archive.read_member(path, wanted, CONFIG, field=field) if wanted else None
