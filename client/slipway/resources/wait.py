"""Until models are released and applications answer; each step is told to whoever watches."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from slipway.deploy import LINGER, Step, Watcher
from slipway.errors import Failed, SlipwayError, Slow
from slipway.resources.prepare import APPLICATION, MODEL
from slipway.types_models import Application, Change, ModelVersion

if TYPE_CHECKING:
    from slipway.client import AsyncClient

LONGEST: Final = 1.0  # seconds between two looks


async def wait(
    client: AsyncClient,
    changes: Sequence[Change],
    *,
    project: str | None,
    timeout: float | None,
    watch: Watcher,
) -> None:
    """Raises Failed when one of them can't be any more, and Slow after `timeout` seconds.

    Models first, all at once. What was unchanged may still be on its way, so it counts too.
    """
    models = [change for change in changes if change.kind == MODEL and change.version]
    applications = [change for change in changes if change.kind == APPLICATION]
    try:
        async with asyncio.timeout(timeout):
            await _all(*(released(client, change, project, watch) for change in models))
            await _all(*(ready(client, c.name, project, watch) for c in applications))
    except TimeoutError as error:
        raise Slow(
            f"not all of it was ready within {timeout:g} s",
            "it still may be: see `slipway models` and `slipway applications`",
        ) from error


async def _all(*waiting: Coroutine[Any, Any, object]) -> None:
    """Every one to its end, so that all that failed is told."""
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    failed = [error for error in ended if isinstance(error, BaseException)]
    reasons = [error for error in failed if isinstance(error, Failed)]
    for error in failed:
        if not isinstance(error, Failed):
            raise error
    if reasons:
        detail = "\n".join(str(error) for error in reasons)
        raise Failed(detail, "\n".join(dict.fromkeys(error.hint for error in reasons)))


async def released(
    client: AsyncClient, change: Change, project: str | None, watch: Watcher
) -> ModelVersion:
    """Wait until it is built, telling what its build prints."""
    model, version = change.name, change.version or ""
    found = await client.model_version(model, version, project=project)
    if found.state == "building" or change.action != "unchanged":
        found = await _built(client, model, version, project, watch)
    if found.state == "failed":
        why = f": {found.reason}" if found.reason else ""
        hint = f"see `slipway model {model} --version {version} --logs`"
        raise Failed(f"the build of {model}:{version} failed{why}", hint)
    return found


async def _built(
    client: AsyncClient, model: str, version: str, project: str | None, watch: Watcher
) -> ModelVersion:
    following = asyncio.create_task(_log(client, model, version, project, watch))
    pause = 0.05
    try:
        while True:
            found = await client.model_version(model, version, project=project)
            if found.state != "building":
                break
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST)
        await asyncio.wait({following}, timeout=LINGER)
    finally:
        following.cancel()
        # the log is a comfort: what became of the build is told by the version
        with suppress(asyncio.CancelledError, SlipwayError):
            await following
    watch(Step(kind="model", text=f"{model}:{version}", model=found))
    return found


async def _log(
    client: AsyncClient, model: str, version: str, project: str | None, watch: Watcher
) -> None:
    async for line in client.follow_model_log(model, version, project=project):
        watch(Step(kind="line", text=f"{model}:{version}", line=line))


async def ready(client: AsyncClient, name: str, project: str | None, watch: Watcher) -> Application:
    """Wait until its newest revision answers."""
    seen: tuple[str, str, list[str]] | None = None
    pause = 0.05
    while True:
        found = await client.application(name, project=project)
        if seen != (now := (found.state, found.reason, found.troubles)):
            seen, pause = now, 0.05
            watch(Step(kind="application", text=name, application=found))
        if found.state == "ready":
            return found
        if found.state != "assembling":
            why = f": {found.reason}" if found.reason else ""
            hint = f"see `slipway application {name}`"
            raise Failed(f"the application {name} is {found.state}{why}", hint)
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST)
