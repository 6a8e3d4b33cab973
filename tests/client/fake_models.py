"""Models and applications of the platform in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from tests.client.answers import Thing, answer, now, page, refuse

if TYPE_CHECKING:
    from tests.client.fake import Fake

CONTRACT = {
    "inputs": [{"name": "x", "dtype": "int64", "shape": []}],
    "outputs": [{"name": "y", "dtype": "int64", "shape": []}],
}


class FakeModels:
    """`asked` is what was applied, as it came."""

    def __init__(self, fake: Fake) -> None:
        self._fake = fake
        self.asked: list[Thing] = []
        self.versions: dict[str, list[Thing]] = {}
        self.applications: dict[str, Thing] = {}
        self.configurations: dict[str, Thing] = {}
        self.servables: list[Thing] = []
        self.profiles: dict[str, Thing] = {}

    def routes(self, p: str) -> list[web.RouteDef]:
        return [
            web.post(p + "/resources", self.apply),
            web.get(p + "/models", self.list_models),
            web.get(p + "/models/{model}", self.model),
            web.get(p + "/models/{model}/versions", self.list_versions),
            web.get(p + "/models/{model}/versions/{version}", self.version),
            web.get(p + "/models/{model}/versions/{version}/logs", self.logs),
            web.get(p + "/models/{model}/versions/{version}/profile", self.profile),
            web.get(p + "/applications", self.list_applications),
            web.get(p + "/applications/{application}", self.application),
            web.delete(p + "/applications/{application}", self.remove),
            web.get(p + "/applications/{application}/generate-inputs", self.sample),
            web.get(p + "/servables", self.list_servables),
            web.post(p + "/servables", self.make_servable),
            web.get(p + "/servables/{servable}", self.servable),
            web.get(p + "/servables/{servable}/generate-inputs", self.sample_of_servable),
            web.get(p + "/configurations", self.list_configurations),
            web.get(p + "/configurations/{name}", self.configuration),
            web.delete(p + "/configurations/{name}", self.remove_configuration),
        ]

    # What the rest of the platform would do

    async def release(self, model: str, version: str) -> None:
        self.versions[model][int(version) - 1].update(state="ready", status="Released")

    async def break_down(self, model: str, version: str, reason: str) -> None:
        found = self.versions[model][int(version) - 1]
        found.update(state="failed", status="Failed", reason=reason)

    async def hold(self, application: str, reason: str) -> None:
        """Its first servable starts, and says why it does not serve."""
        variant = self.applications[application]["newest"]["stages"][0][0]
        variant.update(state="starting", status="NotAvailable", reason=reason)

    async def settle(self, application: str) -> None:
        found = self.applications[application]
        found.update(state="ready", status="Ready", live=found["newest"])

    # HTTP

    async def apply(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.asked.append(asked)
        wrongs = [
            wrong
            for at, one in enumerate(asked["documents"])
            for wrong in self._wrongs(at, one["document"], one["source"])
        ]
        if wrongs:
            return refuse(422, "invalid", "The request is not valid", "", *wrongs)
        for one in asked["documents"]:
            for digest in (one["payload"], one["training"]):
                assert digest is None or digest in self._fake.uploads
        order = ["DeploymentConfiguration", "Model", "Application"]
        kept = (dict(self.versions), dict(self.applications), dict(self.configurations))
        made = {
            at: self._write(one)
            for kind in order
            for at, one in enumerate(asked["documents"])
            if one["document"]["kind"] == kind
        }
        if asked["dry_run"]:
            self.versions, self.applications, self.configurations = kept
        changes = [made[at] for at in sorted(made)]
        return answer({"changes": changes, "dry_run": asked["dry_run"]})

    def _wrongs(self, at: int, document: Thing, source: str) -> list[Thing]:
        wrongs = []
        if document["kind"] == "Model" and "runtime" not in document:
            said = f"{source}: is missing; name an image, such as python-runtime:1.0"
            wrongs.append({"field": f"documents[{at}].runtime", "message": said})
        for number, stage in enumerate(document.get("pipeline") or []):
            total = sum(variant.get("weight", 100) for variant in stage)
            if total != 100:
                said = f"{source}: Sum of weights must equal 100. Current sum: {total}"
                wrongs.append({"field": f"documents[{at}].pipeline[{number}]", "message": said})
            for index, variant in enumerate(stage):
                model, _, version = variant["model"].partition(":")
                if model in self.versions and self.versions[model][-1]["state"] == "failed":
                    said = f"{source}: {model}:{version} could not be built"
                    field = f"documents[{at}].pipeline[{number}][{index}].model"
                    wrongs.append({"field": field, "message": said})
        return wrongs

    def _write(self, one: Thing) -> Thing:
        document = one["document"]
        kind, name = document["kind"], document["name"]
        action, version = {
            "Model": self._model,
            "Application": self._application,
            "DeploymentConfiguration": self._configuration,
        }[kind](name, one)
        return {
            "kind": kind,
            "name": name,
            "action": action,
            "version": version,
            "id": name,
            "source": one["source"],
            "notes": ["colour: is not known and is ignored"] if "colour" in document else [],
        }

    def _model(self, name: str, one: Thing) -> tuple[str, str | None]:
        found = self.versions.get(name, [])
        same = (one["document"], one["payload"], one["training"])
        if found and found[-1]["same"] == same and found[-1]["state"] != "failed":
            return "unchanged", found[-1]["name"]
        number = len(found) + 1
        version = {
            **self._thing(f"v{name}{number}", "building", "Assembling"),
            "model": name,
            "name": str(number),
            "runtime": one["document"]["runtime"],
            "contract": CONTRACT,
            "same": same,
        }
        self.versions[name] = [*found, version]
        return ("create" if number == 1 else "update"), str(number)

    def _application(self, name: str, one: Thing) -> tuple[str, str | None]:
        document, before = one["document"], self.applications.get(name)
        if before is not None and before["document"] == document:
            return "unchanged", str(before["newest"]["revision"])
        revision = 1 if before is None else before["newest"]["revision"] + 1
        stages = document.get("pipeline") or [[document["singular"]]]
        newest = {
            "revision": revision,
            "stages": [[self._variant(variant) for variant in stage] for stage in stages],
            "created_at": now(),
        }
        self.applications[name] = {
            **self._thing(f"a{name}", "assembling", "Assembling"),
            "name": name,
            "url": f"{self._fake.router}/gateway/application/{name}",
            "newest": newest,
            "live": before and before["live"],
            "document": document,
        }
        return ("create" if before is None else "update"), str(revision)

    def _variant(self, variant: Thing) -> Thing:
        model, version = variant["model"].split(":")
        return {
            "model": model,
            "version": version,
            "weight": variant.get("weight", 100),
            "servable": f"{model}-{version}-calm-otter",
            "state": "queued",
        }

    def _configuration(self, name: str, one: Thing) -> tuple[str, str | None]:
        before = self.configurations.get(name)
        if before is not None and before["document"] == one["document"]:
            return "unchanged", None
        self.configurations[name] = {
            **self._thing(f"c{name}", "", ""),
            "name": name,
            "document": one["document"],
        }
        return ("create" if before is None else "update"), None

    def _thing(self, called: str, state: str, status: str) -> Thing:
        return {
            "id": called,
            "owner": "admin",
            "project": "default",
            "target": "process",
            "state": state,
            "status": status,
            "reason": "",
            "created_at": now(),
            "changed_at": now(),
        }

    async def list_models(self, request: web.Request) -> web.Response:
        return page(request, [self._summary(name) for name in self.versions])

    def _summary(self, name: str) -> Thing:
        newest = self.versions[name][-1]
        return {
            **newest,
            "name": name,
            "versions": len(self.versions[name]),
            "newest": newest["name"],
        }

    async def model(self, request: web.Request) -> web.Response:
        return answer(self._summary(request.match_info["model"]))

    async def list_versions(self, request: web.Request) -> web.Response:
        return page(request, self.versions[request.match_info["model"]][::-1])

    def _named(self, request: web.Request) -> Thing:
        found = self.versions[request.match_info["model"]]
        return {one["name"]: one for one in found}[request.match_info["version"]]

    async def version(self, request: web.Request) -> web.Response:
        return answer(self._named(request))

    async def logs(self, request: web.Request) -> web.StreamResponse:
        found = self._named(request)
        return await self._fake.log(request, found["id"], lambda: found["state"] != "building")

    async def profile(self, request: web.Request) -> web.Response:
        found = self._named(request)
        nothing = {"training": None, "drifted": False, "fields": []}
        told = self.profiles.get(found["id"], nothing)
        return answer({"model": found["model"], "version": found["name"], **told})

    async def list_applications(self, request: web.Request) -> web.Response:
        made = [
            {
                **one,
                "revision": one["newest"]["revision"],
                "live": one["live"] and one["live"]["revision"],
                "models": [
                    [f"{v['model']}:{v['version']}" for v in stage]
                    for stage in one["newest"]["stages"]
                ],
            }
            for one in self.applications.values()
        ]
        return page(request, made)

    async def application(self, request: web.Request) -> web.Response:
        return answer(self.applications[request.match_info["application"]])

    async def remove(self, request: web.Request) -> web.Response:
        del self.applications[request.match_info["application"]]
        return web.Response(status=204)

    async def sample(self, request: web.Request) -> web.Response:
        await self.application(request)
        return answer({"x": 1})

    async def list_servables(self, request: web.Request) -> web.Response:
        return page(request, self.servables)

    async def make_servable(self, request: web.Request) -> web.Response:
        model, _, version = (await request.json())["model"].partition(":")
        if version not in [one["name"] for one in self.versions.get(model, [])]:
            wrong = {"field": "model", "message": f"this project has no model {model!r}"}
            return refuse(422, "invalid", "The request is not valid", "", wrong)
        name = f"{model}-{version}-calm-otter"
        made = {
            **self._thing(name, "queued", "Starting"),
            "name": name,
            "model": model,
            "version": version,
            "job": f"j{len(self.servables)}",
        }
        self.servables.append(made)
        return answer(made, 201)

    async def servable(self, request: web.Request) -> web.Response:
        named = {one["name"]: one for one in self.servables}
        return answer(named[request.match_info["servable"]])

    async def sample_of_servable(self, request: web.Request) -> web.Response:
        await self.servable(request)
        return answer({"x": 2})

    async def list_configurations(self, request: web.Request) -> web.Response:
        return page(request, list(self.configurations.values()))

    async def configuration(self, request: web.Request) -> web.Response:
        return answer(self.configurations[request.match_info["name"]])

    async def remove_configuration(self, request: web.Request) -> web.Response:
        del self.configurations[request.match_info["name"]]
        return web.Response(status=204)
