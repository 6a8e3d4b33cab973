"""Jobs: submitting an endpoint of its own, following it through its life, and ending it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final, TypedDict, Unpack

from slipway.calls.base import Ask, at, given, missing
from slipway.calls.deployments import Deployments
from slipway.calls.sources import SourceWatcher
from slipway.errors import Ambiguous, Failed, NotFound, SlipwayError, Slow
from slipway.types import Connection, Job, LogLine, Review

OVER: Final = frozenset({"stopped", "finished", "failed", "terminated", "purged"})
"""States that a job leaves only when somebody asks, or never."""

CPU: Final = "cpu"
"""The GPU type of who needs none."""

GONE: Final = frozenset({"terminated", "purged"})
"""States in which a job has given its name back."""

Watcher = Callable[[Job], None]
"""Told of a job whenever its state or its reason is another."""


class Options(TypedDict, total=False):
    """What may be said of an endpoint of its own. What is not is left to the platform."""

    document: Mapping[str, Any] | None  # a whole proxiML job; the others go on top of it
    routes: Sequence[Mapping[str, Any]] | None
    start_command: str | None
    gpu_type: str | Sequence[str] | None  # several: in order of preference; cpu by default
    gpu_count: int | None
    disk: int | None  # GB
    environment: Mapping[str, str] | None
    packages: Sequence[str]  # for pip
    apt_packages: Sequence[str]
    image: str | None  # the base, in place of a named environment
    concurrency: int | None
    waiting: int | None
    scheduling: Mapping[str, Any] | None  # priority, preemptible, gang, start_within, run_at_most
    replicas: int | None  # copies that run side by side, where the target is a cluster ...
    autoscaling: Mapping[str, int] | None  # ... or, in their place, from how many to how many
    target: str | None


class Jobs(Deployments):
    async def create_endpoint(
        self,
        /,
        name: str,
        path: str | Path | None = None,
        *,
        git: str | None = None,
        ref: str | None = None,
        folder: str | None = None,
        project: str | None = None,
        watch_source: SourceWatcher = lambda source: None,
        **options: Unpack[Options],
    ) -> Job:
        """Submit an endpoint of its own (proxiML's way) from the folder `path`, or from `ref` of
        the repository at the URL `git` (its `folder`), which is fetched first.

        It takes `routes` or a `start_command`; see Options for the rest.
        """
        if git is not None:
            fetched = await self.fetch(
                git, ref=ref, path=folder, project=project, watch=watch_source
            )
            ask = endpoint(name, fetched.digest or "", options)
        else:
            ask = await self._endpoint(name, path, project, options)
        return await self._transport.post(f"{await self._project(project)}/endpoints", Job, ask)

    async def review_endpoint(
        self,
        /,
        name: str,
        path: str | Path | None = None,
        *,
        git: str | None = None,
        ref: str | None = None,
        project: str | None = None,
        **options: Unpack[Options],
    ) -> Review:
        """What `create_endpoint` would do. The folder is uploaded, nothing else happens: what is
        in a repository is not fetched.
        """
        ask = await self._endpoint(name, path, project, options)
        if git is not None:
            ask["model"] = given(source_type="git", source_uri=git, source_ref=ref)
        return await self._transport.post(
            f"{await self._project(project)}/endpoints/review", Review, ask
        )

    async def _endpoint(
        self, name: str, path: str | Path | None, project: str | None, options: Options
    ) -> Ask:
        uri = "" if path is None else (await self.upload(path, project=project)).digest
        return endpoint(name, uri, options)

    async def jobs(
        self,
        *,
        state: str | None = None,
        name: str | None = None,
        limit: int | None = None,
        project: str | None = None,
    ) -> list[Job]:
        """All that this token may see, or those of one project."""
        path = "/jobs" if project is None else f"{await self._project(project)}/jobs"
        return await self._all(path, Job, limit, state=state, name=name)

    async def job(self, job: str) -> Job:
        return await self._transport.get(f"/jobs/{at(job)}", Job)

    async def find_job(self, called: str) -> Job:
        """The job with this id, name, or beginning of an id. Raises NotFound or Ambiguous."""
        try:
            return await self.job(called)
        except SlipwayError as error:
            if not missing(error):
                raise
        named = await self.jobs(name=called)
        return choose(called, named or await self._all("/jobs", Job, id=called))

    async def stop(self, job: str) -> Job:
        """Begin to stop it; `wait_for_job(job, "stopped")` waits for the end."""
        return await self._transport.post(f"/jobs/{at(job)}/stop", Job)

    async def restart(self, job: str) -> Job:
        """Queue a stopped job again, from its original image."""
        return await self._transport.post(f"/jobs/{at(job)}/restart", Job)

    async def scale(self, job: str, copies: int) -> Job:
        """Let it have so many copies; `wait_for_copies` waits until they run."""
        return await self._transport.post(f"/jobs/{at(job)}/scale", Job, {"copies": copies})

    async def terminate(self, job: str) -> Job:
        """Remove a stopped or failed job for good."""
        return await self._transport.post(f"/jobs/{at(job)}/terminate", Job)

    async def connection(self, job: str) -> Connection:
        """How to call a running job."""
        return await self._transport.get(f"/jobs/{at(job)}/connection", Connection)

    async def sbom(self, job: str) -> dict[str, Any]:
        """What is in its image: a CycloneDX bill of materials."""
        return await self._transport.get(f"/jobs/{at(job)}/sbom", dict[str, Any])

    async def provenance(self, job: str) -> dict[str, Any]:
        """How its image was made: an in-toto statement; if it is signed, the DSSE envelope."""
        return await self._transport.get(f"/jobs/{at(job)}/provenance", dict[str, Any])

    async def logs(self, job: str, *, limit: int | None = None) -> list[LogLine]:
        """What it printed, newest first."""
        return await self._all(f"/jobs/{at(job)}/logs", LogLine, limit)

    async def follow_logs(self, job: str) -> AsyncGenerator[LogLine, None]:
        """What it prints, oldest first, until it will print no more."""
        async with aclosing(self._follow_log(f"/jobs/{at(job)}/logs")) as lines:
            async for line in lines:
                yield line

    async def build_log_of(self, job: str, *, limit: int | None = None) -> list[LogLine]:
        """What the build of its image printed, newest first."""
        return await self._all(f"/jobs/{at(job)}/build/logs", LogLine, limit)

    async def follow_build_log_of(self, job: str) -> AsyncGenerator[LogLine, None]:
        """What the build of its image prints, oldest first, until it has ended."""
        async with aclosing(self._follow_log(f"/jobs/{at(job)}/build/logs")) as lines:
            async for line in lines:
                yield line

    async def wait_for_job(
        self,
        job: str,
        *states: str,
        timeout: float | None = None,
        watch: Watcher = lambda job: None,
    ) -> Job:
        """Wait until `job` is in one of `states` (running by default).

        Raises Failed when it has ended in another state, Slow after `timeout` seconds.
        """
        wanted = states or ("running",)
        words = " or ".join(wanted)
        return await self._wait(job, lambda found: found.state in wanted, words, timeout, watch)

    async def wait_for_copies(
        self, job: str, *, timeout: float | None = None, watch: Watcher = lambda job: None
    ) -> Job:
        """Wait until as many copies of `job` take requests as are wanted, and no more.

        Raises Failed when it has ended, Slow after `timeout` seconds.
        """
        return await self._wait(job, whole, "running as wanted", timeout, watch)

    async def _wait(
        self,
        job: str,
        done: Callable[[Job], bool],
        words: str,
        timeout: float | None,
        watch: Watcher,
    ) -> Job:
        try:
            async with asyncio.timeout(timeout):
                return await self._follow_job(job, done, watch)
        except TimeoutError as error:
            raise Slow(
                f"job {job} was not {words} within {timeout:g} s", f"see `slipway why {job}`"
            ) from error

    async def _follow_job(self, job: str, done: Callable[[Job], bool], watch: Watcher) -> Job:
        seen: tuple[str, str, int] | None = None
        pause = 0.05
        while True:
            found = await self.job(job)
            running = found.copies_running if found.copies > 1 else 0
            if seen != (now := (found.state, found.reason, running)):
                seen, pause = now, 0.05
                watch(found)
            if done(found):
                return found
            if found.state in OVER:
                raise ended(found)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 1.0)


def whole(job: Job) -> bool:
    """Whether it runs as many copies as are wanted."""
    return job.state == "running" and job.copies_running == job.copies


def ended(job: Job) -> Failed:
    why = f": {job.reason}" if job.reason else ""
    log = "build-log" if job.queued_at is None else "logs"
    return Failed(f"job {job.name} ({job.id}) is {job.state}{why}", f"see `slipway {log} {job.id}`")


def choose(called: str, jobs: Sequence[Job]) -> Job:
    """The job that is meant: by name, one that is not gone first; else by the id's beginning."""
    named = [job for job in jobs if job.name == called]
    there = [job for job in named if job.state not in GONE]  # a name has one of these at most
    found = there or named or [job for job in jobs if called and job.id.startswith(called)]
    match found:
        case [job]:
            return job
        case []:
            raise NotFound(f"no job is called {called}", "`slipway jobs` lists them")
        case _:
            ids = ", ".join(job.id for job in found[:5])
            more = ", …" if len(found) > 5 else ""
            raise Ambiguous(f"{len(found)} jobs are called {called}", f"use an id: {ids}{more}")


def endpoint(name: str, uri: str, options: Options) -> Ask:
    """The document that the platform takes: a given one, with what was said on top of it."""
    types = options.get("gpu_type")
    document = dict(options.get("document") or {})
    if types is None and not options.get("gpu_count") and "resources" not in document:
        types = CPU
    said = given(
        resources=given(
            gpu_types=[types] if isinstance(types, str) else types,
            gpu_count=options.get("gpu_count"),
            disk_size=options.get("disk"),
        ),
        model=given(source_type="local", source_uri=uri) if uri else {},
        endpoint=given(routes=options.get("routes"), start_command=options.get("start_command")),
        environment=_environment(options, document.get("environment", {})),
        serving=given(concurrency=options.get("concurrency"), waiting=options.get("waiting")),
        scheduling=dict(options.get("scheduling") or {}),
    )
    for part, fields in said.items():
        if fields:
            document[part] = {**document.get(part, {}), **fields}
    document |= given(
        replicas=options.get("replicas"),
        autoscaling=options.get("autoscaling"),
        target=options.get("target"),
    )
    return {**document, "name": name, "type": "endpoint"}


def _environment(options: Options, written: Mapping[str, Any]) -> Ask:
    """Variables and packages that were said, beside those of the document."""
    said = options.get("environment") or {}
    kept = [item for item in written.get("env", []) if item.get("key") not in said]
    variables = [*kept, *({"key": key, "value": value} for key, value in said.items())]
    packages = dict(written.get("packages", {}))
    more = {"pip": options.get("packages"), "apt": options.get("apt_packages")}
    for kind, names in more.items():
        if names:
            packages[kind] = [*packages.get(kind, []), *names]
    image = options.get("image")
    return given(
        type="CUSTOM" if image else None,
        custom_image=image,
        env=variables if said else None,
        packages=packages if any(more.values()) else None,
    )
