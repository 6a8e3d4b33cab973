"""`AsyncClient`: everything that can be asked of the platform, and the way from a folder to a
running version in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from slipway.calls.base import given
from slipway.calls.billing import Billing
from slipway.calls.events import Events
from slipway.calls.predictions import Predictions
from slipway.calls.queue import Queueing
from slipway.calls.runs import Runs
from slipway.config import Settings, find
from slipway.deploy import Plan, Step, Watcher, code_from, name_for, submit
from slipway.deploy import wait as wait_until_running
from slipway.resources.files import documents
from slipway.resources.prepare import prepare
from slipway.resources.submit import submit as submit_resources
from slipway.resources.wait import wait as wait_until_ready
from slipway.types import Job, Version
from slipway.types_models import Change


class AsyncClient(Billing, Queueing, Runs, Predictions, Events):
    """The platform, asynchronously. Open it with `async with`.

    Without arguments it finds the platform as the command line does (see slipway.find).
    `project` (owner/project) is meant wherever a call names none. Every call raises SlipwayError.
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, project: str | None = None
    ) -> None:
        if url is not None and token is not None:
            base = url.rstrip("/").removesuffix("/v1")
            settings = Settings(url=base, token=token, project=project)
        else:
            found = find()
            settings = Settings(
                url=url or found.url, token=token or found.token, project=project or found.project
            )
        super().__init__(settings)

    async def deploy(
        self,
        path: str | Path | None = None,
        *,
        git: str | None = None,
        ref: str | None = None,
        folder: str | None = None,
        deployment: str | None = None,
        version: str | None = None,
        files: Mapping[str, Mapping[str, str | Path]] | None = None,
        endpoints: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        serving: Mapping[str, Mapping[str, Any]] | None = None,
        scheduling: Mapping[str, Mapping[str, Any]] | None = None,
        replicas: Mapping[str, int] | None = None,
        autoscaling: Mapping[str, Mapping[str, int]] | None = None,
        target: str | None = None,
        config: str | None = None,
        alias: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
        project: str | None = None,
        watch: Watcher = lambda step: None,
    ) -> Version:
        """From the folder `path` to a version, with its endpoints queued or, if told, running.

        Without a folder, the platform fetches `ref` of the repository at the URL `git`: a branch, a
        tag or a whole commit id, by default what the repository offers. `folder` of it is the code.
        `deployment` is created if it is missing, and is named after the folder by default.
        `target` is that of a deployment that is created. `replicas`: endpoint -> copies, `*` for
        all others; `autoscaling`: endpoint -> `min`, `max` and what it is scaled by; `scheduling`:
        endpoint -> what the queue is told (priority, preemptible, gang, start_within,
        run_at_most). `files`: endpoint -> file name -> path. `config`: the text of another yaml
        file.
        `wait`: until every endpoint runs; `alias` also waits, and then points at the version.
        `watch` is told each Step. Raises Failed when the build or an endpoint fails.
        """
        code = code_from(path, git, ref, folder)
        plan = Plan(
            code=code,
            deployment=deployment or name_for(code),
            files={name: dict(chosen) for name, chosen in (files or {}).items()},
            options=given(
                name=version,
                endpoints=endpoints,
                environment=environment,
                serving=serving,
                scheduling=scheduling,
                replicas=replicas,
                autoscaling=autoscaling,
                config=config,
            ),
            project=project,
            target=target,
        )
        made = await submit(self, plan, watch)
        if wait or alias:
            made = await self.wait_for_version(made, timeout=timeout, watch=watch)
        if alias:
            moved = await self.set_alias(plan.deployment, alias, made.name, project=project)
            watch(Step(kind="aliased", alias=moved, version=made))
        return made

    async def wait_for_version(
        self,
        version: Version,
        *,
        timeout: float | None = None,
        watch: Watcher = lambda step: None,
    ) -> Version:
        """Wait until it is built and all of its endpoints run.

        Raises Failed with the reason when that can't happen any more, Slow after `timeout` seconds.
        """
        return await wait_until_running(self, version, timeout, watch)

    async def apply(
        self,
        *paths: str | Path,
        recursive: bool = False,
        dry_run: bool = False,
        target: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
        project: str | None = None,
        watch: Watcher = lambda step: None,
    ) -> list[Change]:
        """Make the platform what resource definitions say: models, applications, configurations.

        `paths` are YAML files of one or more documents, folders of such files (`recursive`: with
        the folders in them), or `-` for standard input. All is checked before anything changes,
        and doing it again changes nothing. `dry_run`: only say what would change. `wait`: until
        models are released and applications ready. Raises BadDocument with all that is wrong here,
        SlipwayError with what the platform says is wrong, Failed when waiting is in vain.
        """
        prepared = await asyncio.to_thread(lambda: prepare(documents(paths, recursive=recursive)))
        changes = await submit_resources(
            self, prepared, dry_run=dry_run, target=target, project=project, watch=watch
        )
        if wait and not dry_run:
            await self.wait_for_resources(changes, timeout=timeout, project=project, watch=watch)
        return changes

    async def wait_for_resources(
        self,
        changes: Sequence[Change],
        *,
        timeout: float | None = None,
        project: str | None = None,
        watch: Watcher = lambda step: None,
    ) -> None:
        """Wait until the models of these changes are released and the applications ready.

        Raises Failed with the reason when that can't happen any more, Slow after `timeout` seconds.
        """
        await wait_until_ready(self, changes, project=project, timeout=timeout, watch=watch)

    async def running(self, version: Version) -> list[Job]:
        """The jobs of a version's endpoints, as they are now."""
        return [await self.job(job) for job in version.jobs.values()]
