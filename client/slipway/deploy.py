"""From a folder to a running version, step by step; each step is told to whoever watches."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from slipway.errors import BadSource, BadUsage, Failed, SlipwayError, Slow
from slipway.types import Alias, Deployment, Job, LogLine, Source, Upload, Version
from slipway.types_models import Application, ModelVersion

if TYPE_CHECKING:
    from slipway.client import AsyncClient

LINGER = 2.0  # seconds that the rest of a build's log may take after the build has ended


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What has just happened; the field that belongs to `kind` is set."""

    kind: Literal[
        "packing",
        "uploaded",
        "fetching",
        "fetched",
        "deployment",
        "submitted",
        "line",
        "built",
        "job",
        "aliased",
        "model",
        "application",
    ]
    text: str = ""  # packing: a file; uploaded: what; line: whose it is, where there are several
    source: Source | None = None  # fetching and fetched
    upload: Upload | None = None
    deployment: Deployment | None = None
    version: Version | None = None
    line: LogLine | None = None
    job: Job | None = None
    alias: Alias | None = None
    model: ModelVersion | None = None  # as its build has left it
    application: Application | None = None


Watcher = Callable[[Step], None]


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """Code that the platform fetches."""

    url: str
    ref: str | None = None
    folder: str | None = None  # of the repository, that is the code


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    code: Path | Repository
    deployment: str
    files: dict[str, dict[str, str | Path]]
    options: dict[str, Any]
    project: str | None
    target: str | None = None  # of a deployment that is created


def code_from(
    path: str | Path | None, git: str | None, ref: str | None, folder: str | None
) -> Path | Repository:
    """Which of them is meant; BadUsage when it is none or both."""
    if (path is None) == (git is None):
        raise BadUsage("give either a folder or the URL of a git repository")
    if path is not None and (ref is not None or folder is not None):
        raise BadUsage("a ref and its folder go with the URL of a git repository")
    if git is not None:
        return Repository(url=git, ref=ref, folder=folder)
    return Path(path or "")


def name_for(code: Path | Repository) -> str:
    """A deployment's name from a folder's or a repository's."""
    if isinstance(code, Repository):
        shown = (code.folder or code.url).rstrip("/")
        last = shown.rpartition("/")[2].removesuffix(".git")
    else:
        shown, last = str(code), code.resolve().name.split(".tar")[0]
    name = re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:63].strip("-")
    if not name:
        raise BadSource(f"no deployment can be named after {shown}", "name one with --deployment")
    return name


async def submit(client: AsyncClient, plan: Plan, watch: Watcher) -> Version:
    """Upload what is needed and create the version. Nothing is created if an upload fails."""
    project = plan.project
    code = await _code(client, plan, watch)
    files: dict[str, dict[str, str]] = {}
    for endpoint, chosen in plan.files.items():
        for name, path in chosen.items():
            if Path(path).is_dir():
                raise BadSource(f"{path} is a folder", f"{endpoint}.{name} needs a single file")
            upload = await client.upload(path, project=project)
            files.setdefault(endpoint, {})[name] = upload.digest
            watch(Step(kind="uploaded", text=f"{endpoint}.{name}", upload=upload))
    made = await client.ensure_deployment(plan.deployment, target=plan.target, project=project)
    watch(Step(kind="deployment", deployment=made))
    version = await client.create_version(
        plan.deployment, code, project=project, files=files, **plan.options
    )
    watch(Step(kind="submitted", version=version))
    return version


async def _code(client: AsyncClient, plan: Plan, watch: Watcher) -> str:
    """The digest of the code, uploaded or fetched."""
    if isinstance(plan.code, Repository):
        fetched = await client.fetch(
            plan.code.url,
            ref=plan.code.ref,
            path=plan.code.folder,
            project=plan.project,
            watch=lambda source: watch(step_of(source)),
        )
        return fetched.digest or ""
    code = await client.upload(
        plan.code,
        project=plan.project,
        progress=lambda name, size: watch(Step(kind="packing", text=name)),
    )
    watch(Step(kind="uploaded", text=str(plan.code), upload=code))
    return code.digest


def step_of(source: Source) -> Step:
    """What there is to tell of a source."""
    return Step(kind="fetching" if source.state == "fetching" else "fetched", source=source)


async def wait(
    client: AsyncClient, version: Version, timeout: float | None, watch: Watcher
) -> Version:
    """Until it is built and every job of it runs."""
    seen: dict[str, Job] = {}

    def told(job: Job) -> None:
        seen[job.id] = job
        watch(Step(kind="job", job=job))

    try:
        async with asyncio.timeout(timeout):
            built = await _built(client, version, watch)
            await asyncio.gather(
                *(client.wait_for_job(job, watch=told) for job in built.jobs.values())
            )
            return await _again(client, version)
    except TimeoutError as error:
        raise Slow(
            f"version {version.name} was not running within {timeout:g} s",
            f"it still may be: see `slipway {_telling(version, list(seen.values()))}`",
        ) from error


def _telling(version: Version, jobs: list[Job]) -> str:
    """The command that says what the version waits for."""
    waiting = [job for job in jobs if job.state != "running"]
    if waiting:
        return f"why {waiting[0].name}"
    return f"build-log {version.deployment} {version.name}" if not jobs else "jobs"


async def _built(client: AsyncClient, version: Version, watch: Watcher) -> Version:
    following = asyncio.create_task(_log(client, version, watch))
    try:
        while version.state == "building":
            await asyncio.wait({following}, timeout=0.25)
            version = await _again(client, version)
            if following.done() and version.state == "building":
                await asyncio.sleep(0.25)
        await asyncio.wait({following}, timeout=LINGER)
    finally:
        following.cancel()
        # the log is a comfort: what became of the build is told by the version
        with suppress(asyncio.CancelledError, SlipwayError):
            await following
    if version.state == "failed":
        raise Failed(
            f"the build of {version.deployment}/{version.name} failed: {version.reason}",
            f"see `slipway build-log {version.deployment} {version.name}`",
        )
    watch(Step(kind="built", version=version))
    return version


async def _log(client: AsyncClient, version: Version, watch: Watcher) -> None:
    async for line in client.follow_build_log(
        version.deployment or "", version.name, project=f"{version.owner}/{version.project}"
    ):
        watch(Step(kind="line", line=line))


async def _again(client: AsyncClient, version: Version) -> Version:
    return await client.version(
        version.deployment or "", version.name, project=f"{version.owner}/{version.project}"
    )
