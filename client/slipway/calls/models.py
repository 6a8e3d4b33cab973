"""Models with contracts, the applications made of their versions, and how these run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from slipway.calls.base import Ask, at, given
from slipway.calls.jobs import Jobs
from slipway.errors import NotFound, SlipwayError
from slipway.types import Job, LogLine
from slipway.types_models import (
    Application,
    ApplicationSummary,
    Change,
    Changes,
    Configuration,
    Model,
    ModelProfile,
    ModelVersion,
    Servable,
)


class Models(Jobs):
    async def submit_resources(self, ask: Ask, *, project: str | None = None) -> list[Change]:
        """Resource definitions whose files are uploaded; `apply` does all of it."""
        path = f"{await self._project(project)}/resources"
        return (await self._transport.post(path, Changes, ask)).changes

    async def models(self, *, project: str | None = None) -> list[Model]:
        return await self._all(await self._place(project, "models"), Model)

    async def model(self, name: str, *, project: str | None = None) -> Model:
        return await self._transport.get(await self._place(project, "models", name), Model)

    async def model_versions(
        self, model: str, *, limit: int | None = None, project: str | None = None
    ) -> list[ModelVersion]:
        """Newest first."""
        path = await self._place(project, "models", model, "versions")
        return await self._all(path, ModelVersion, limit)

    async def model_version(
        self, model: str, version: str | int, *, project: str | None = None
    ) -> ModelVersion:
        path = await self._place(project, "models", model, "versions", str(version))
        return await self._transport.get(path, ModelVersion)

    async def model_profile(
        self, model: str, version: str | int, *, project: str | None = None
    ) -> ModelProfile:
        """What a version is asked and answers, compared with its training data."""
        path = await self._place(project, "models", model, "versions", str(version), "profile")
        return await self._transport.get(path, ModelProfile)

    async def model_log(
        self,
        model: str,
        version: str | int,
        *,
        limit: int | None = None,
        project: str | None = None,
    ) -> list[LogLine]:
        """What the build of a version printed, newest first."""
        path = await self._place(project, "models", model, "versions", str(version), "logs")
        return await self._all(path, LogLine, limit)

    async def follow_model_log(
        self, model: str, version: str | int, *, project: str | None = None
    ) -> AsyncGenerator[LogLine, None]:
        """What the build of a version prints, oldest first, until it has ended."""
        path = await self._place(project, "models", model, "versions", str(version), "logs")
        async with aclosing(self._follow_log(path)) as lines:
            async for line in lines:
                yield line

    async def find_job(self, called: str) -> Job:
        """As before. Where it is an application's name, the error names the jobs that serve it."""
        try:
            return await super().find_job(called)
        except NotFound:
            jobs = await self._serving(called)
            if not jobs:
                raise
        raise NotFound(f"{called} is an application", f"its jobs are: {', '.join(jobs)}")

    async def _serving(self, called: str) -> list[str]:
        """The jobs of an application; none where there is no such application."""
        try:
            found = await self.application(called)
        except SlipwayError:
            return []
        variants = (variant for stage in found.newest.stages for variant in stage)
        return list(dict.fromkeys(one.servable for one in variants if one.servable))

    async def applications(self, *, project: str | None = None) -> list[ApplicationSummary]:
        return await self._all(await self._place(project, "applications"), ApplicationSummary)

    async def application(self, name: str, *, project: str | None = None) -> Application:
        path = await self._place(project, "applications", name)
        return await self._transport.get(path, Application)

    async def remove_application(self, name: str, *, project: str | None = None) -> None:
        """End it, and the servables that were made for it. Its name is free again."""
        await self._transport.delete(await self._place(project, "applications", name))

    async def sample_inputs(
        self, name: str, *, servable: bool = False, project: str | None = None
    ) -> dict[str, Any]:
        """Valid inputs for an application, or for the servable of that name, by its contract."""
        kind = "servables" if servable else "applications"
        path = await self._place(project, kind, name, "generate-inputs")
        return await self._transport.get(path, dict[str, Any])

    async def servables(self, *, project: str | None = None) -> list[Servable]:
        return await self._all(await self._place(project, "servables"), Servable)

    async def servable(self, name: str, *, project: str | None = None) -> Servable:
        return await self._transport.get(await self._place(project, "servables", name), Servable)

    async def create_servable(
        self, model: str, *, configuration: str | None = None, project: str | None = None
    ) -> Servable:
        """Run a version of a model (`name:version`) on its own, without an application."""
        ask = given(model=model, configuration=configuration)
        path = await self._place(project, "servables")
        return await self._transport.post(path, Servable, ask)

    async def configurations(self, *, project: str | None = None) -> list[Configuration]:
        return await self._all(await self._place(project, "configurations"), Configuration)

    async def configuration(self, name: str, *, project: str | None = None) -> Configuration:
        path = await self._place(project, "configurations", name)
        return await self._transport.get(path, Configuration)

    async def remove_configuration(self, name: str, *, project: str | None = None) -> None:
        """Servables that were made with it keep it."""
        await self._transport.delete(await self._place(project, "configurations", name))

    async def _place(self, project: str | None, *parts: str) -> str:
        return f"{await self._project(project)}/{at(*parts)}"
