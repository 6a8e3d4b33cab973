"""What Hydrosphere's clients may ask for, each as what `/v1` does."""

from __future__ import annotations

import re
from typing import Any, Final

from services.api import applications as applications_
from services.api import body, jobs, refused, resources
from services.api import configurations as configurations_
from services.api import servables as servables_
from services.api.hydrosphere import documents, multipart, things, views
from services.api.hydrosphere.ask import Ask
from services.api.hydrosphere.views import View
from services.api.models import MODELS
from services.api.sample import sample
from services.api.types_hydrosphere import (
    Change,
    Changes,
    NewDefinition,
    NewDefinitions,
    NewServable,
    Servable,
)
from shared.errors import Invalid

NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")
BUILD: Final = {"name": "slipway", "version": "2.4", "gitHeadCommit": "", "status": "Ok"}


async def _apply(ask: Ask, document: View, payload: str | None = None) -> Change:
    wanted = NewDefinitions(documents=(NewDefinition(document=document, payload=payload),))
    answer = await resources.apply(ask.call(wanted))
    assert isinstance(answer.value, Changes)
    return answer.value.changes[0]


async def _json(ask: Ask) -> Any:
    raw = await body.read(ask.request)
    body.check_type(ask.request)
    return body.parse(raw)


# Models


async def models(ask: Ask) -> list[View]:
    rows = await ask.context.database.fetch(MODELS, ask.project.seq, None, None, things.MOST)
    return views.models(rows)


async def upload(ask: Ask) -> View:
    metadata, payload = await multipart.read(ask)
    change = await _apply(ask, documents.model(metadata), payload)
    assert change.version is not None
    return await things.version(ask, change.name, change.version)


async def versions(ask: Ask) -> list[View]:
    return [views.version(row) for row in await things.versions(ask)]


async def version(ask: Ask) -> View:
    return await things.version(ask, ask.names["model"], ask.names["version"])


async def numbered(ask: Ask) -> str:
    """The id of the version whose number is in the path."""
    found = NUMBER.fullmatch(ask.names["number"])
    rows = await things.versions(ask, numbers=[int(found[0])]) if found else []
    if not rows:
        raise refused.missing("model version")
    return str(rows[0]["id"])


# Applications


async def applications(ask: Ask) -> list[View]:
    return await things.applications(ask)


async def application(ask: Ask) -> View:
    return await things.application(ask, ask.names["application"])


async def make_application(ask: Ask) -> View:
    sent = await _json(ask)
    name = sent.get("name") if isinstance(sent, dict) else None
    if isinstance(name, str) and await things.applications(ask, name):
        raise Invalid("name", f"there is an application {name[:100]}; send a PUT to change it")
    return await _applied(ask, sent)


async def change_application(ask: Ask) -> View:
    return await _applied(ask, await _json(ask))


async def _applied(ask: Ask, sent: Any) -> View:
    rows = await things.versions(ask, numbers=_sensible(documents.numbers(sent)))
    known = {row["seq"]: f"{row['model']}:{row['name']}" for row in rows}
    change = await _apply(ask, documents.application(sent, known))
    return await things.application(ask, change.name)


def _sensible(numbers: list[int]) -> list[int]:
    return [number for number in numbers if 0 < number < 1 << 62]


async def remove_application(ask: Ask) -> View:
    found = await application(ask)
    await applications_.remove(ask.call(application=ask.names["application"]))
    return found


async def inputs(ask: Ask) -> Any:
    call = ask.call(application=ask.names["application"])
    return (await applications_.inputs(call)).value


# Deployment configurations


async def configurations(ask: Ask) -> list[View]:
    return await things.configurations(ask)


async def configuration(ask: Ask) -> View:
    found = await things.configurations(ask, ask.names["configuration"])
    if not found:
        raise refused.missing("deployment configuration")
    return found[0]


async def make_configuration(ask: Ask) -> View:
    change = await _apply(ask, documents.configuration(await _json(ask)))
    return (await things.configurations(ask, change.name))[0]


async def remove_configuration(ask: Ask) -> View:
    found = await configuration(ask)
    await configurations_.remove(ask.call(configuration=ask.names["configuration"]))
    return found


# Servables


async def servables(ask: Ask) -> list[View]:
    return [await things.servable(ask, row) for row in await things.servable_rows(ask)]


async def servable(ask: Ask) -> View:
    return await things.servable(ask, await _servable(ask))


async def _servable(ask: Ask) -> Any:
    rows = await things.servable_rows(ask, ask.names["servable"])
    if not rows:
        raise refused.missing("servable")
    return rows[0]


async def servable_job(ask: Ask) -> str:
    """The id of the job that the servable in the path is."""
    return str((await _servable(ask))["job"])


async def make_servable(ask: Ask) -> View:
    sent = await _json(ask)
    if not isinstance(sent, dict):
        raise Invalid("", "must be an object")
    model = f"{sent.get('modelName')}:{sent.get('version')}"[:200]
    chosen = sent.get("deploymentConfigName") or ""
    wish = body.convert({"model": model, "configuration": chosen}, NewServable)
    made = (await servables_.make(ask.call(wish))).value
    assert isinstance(made, Servable)
    return await things.servable(ask, (await things.servable_rows(ask, made.name))[0])


async def remove_servable(ask: Ask) -> View:
    """Stop it. One of an application's is the application's to end."""
    row = await _servable(ask)
    await jobs.stop(ask.call(job=row["job"]))
    return await things.servable(ask, row)


async def servable_inputs(ask: Ask) -> Any:
    return sample(views.contract_of(await _servable(ask)))
