"""A platform in memory: as much of the API as the client asks of it, and faults on demand.

It is checked against the real one: tests/client/test_client.py asks both the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.client.answers import Thing, answer, now, page, refuse
from tests.client.fake_models import FakeModels

TOKEN = "slp_" + "a" * 43
LIVE = ("submitted", "building", "queued", "starting", "running")


class Fake:
    """`faults` are answered first, one to each request; `requests` is what came."""

    def __init__(self) -> None:
        self.faults: list[web.Response | None] = []
        self.requests: list[web.Request] = []
        self.uploads: dict[str, bytes] = {}
        self.sources: dict[str, Thing] = {}
        self.deployments: dict[str, Thing] = {}
        self.versions: dict[tuple[str, str], Thing] = {}
        self.aliases: dict[tuple[str, str], Thing] = {}
        self.jobs: dict[str, Thing] = {}
        self.said: dict[tuple[str, str], bytes] = {}
        self.tokens: dict[str, Thing] = {}
        self.projects = ["default"]
        self.models = FakeModels(self)
        self.logs: dict[str, list[Thing]] = {}
        self.events: list[Thing] = []
        self.kept: dict[str, web.Response] = {}
        self.cut = 0  # how many streams break after one message
        self.router = "http://127.0.0.1:1"
        self.url, self.token, self.project = "", TOKEN, "admin/default"

    # What the rest of the platform would do

    async def build(self, version: str) -> None:
        found = self._version(version)
        found["state"], found["notes"] = "ready", ["the host's Python runs the code"]
        found["images"] = {e["name"]: "sha256:" + "0" * 64 for e in found["endpoints"]}

    async def run(self, version: str) -> None:
        if self._named(version):
            await self.build(version)
        for job in self._jobs_of(version):
            job["state"], job["reason"], job["copies_running"] = "running", "", 1
            path = job["name"] if job["deployment"] else ""
            job["url"] = (
                f"{self.router}/admin/default/{path}"
                if path
                else f"{self.router}/endpoints/{job['id']}"
            )

    async def copies(self, job: str, count: int) -> None:
        self.jobs[job]["copies_running"] = count

    async def say(self, version: str, kind: str, document: bytes) -> None:
        for job in self._jobs_of(version):
            self.said[job["id"], kind] = document

    async def queue(self, version: str, reason: str) -> None:
        if self._named(version):
            await self.build(version)
        for job in self._jobs_of(version):
            job["state"], job["reason"] = "queued", reason

    async def fail(self, version: str, reason: str) -> None:
        if self._named(version):
            self._version(version).update(state="failed", reason=reason)
        for job in self._jobs_of(version):
            job["state"], job["reason"] = "failed", reason

    async def fetched(self, digest: str, commit: str) -> None:
        (waiting,) = [found for found in self.sources.values() if found["state"] == "fetching"]
        waiting.update(state="ready", digest=digest, size=7, commit=commit, notes=["no LFS"])

    async def unfetched(self, reason: str) -> None:
        (waiting,) = [found for found in self.sources.values() if found["state"] == "fetching"]
        waiting.update(state="failed", reason=reason)

    async def stopped(self, job: str) -> None:
        self.jobs[job]["state"] = "stopped"

    async def finished(self, job: str) -> None:
        self.jobs[job]["state"] = "finished"

    async def print(self, subject: str, *texts: str) -> None:
        lines = self.logs.setdefault(subject, [])
        for text in texts:
            lines.append(
                {
                    "attempt": 1,
                    "line": len(lines) + 1,
                    "at": now(),
                    "stream": "stdout",
                    "text": text,
                }
            )

    async def release(self, model: str, version: str) -> None:
        await self.models.release(model, version)

    async def break_down(self, model: str, version: str, reason: str) -> None:
        await self.models.break_down(model, version, reason)

    async def hold(self, application: str, reason: str) -> None:
        await self.models.hold(application, reason)

    async def settle(self, application: str) -> None:
        await self.models.settle(application)

    def _named(self, version: str) -> bool:
        return any(found["id"] == version for found in self.versions.values())

    def _version(self, version: str) -> Thing:
        return next(found for found in self.versions.values() if found["id"] == version)

    def _jobs_of(self, version: str) -> list[Thing]:
        return [job for job in self.jobs.values() if job["version"] == version]

    # HTTP

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Fake]:
        app = web.Application(middlewares=[self._middle], client_max_size=1 << 26)
        p = "/v1/projects/{owner}/{project}"
        d = p + "/deployments/{deployment}"
        app.add_routes(
            [
                web.get("/v1/whoami", self.whoami),
                web.get("/v1/owners", self.owners),
                web.post("/v1/owners/{owner}/tokens", self.make_token),
                web.get("/v1/owners/{owner}/tokens", self.list_tokens),
                web.delete("/v1/owners/{owner}/tokens/{id}", self.revoke),
                web.post("/v1/projects", self.make_project),
                web.get("/v1/projects", self.list_projects),
                web.post(p + "/uploads", self.upload),
                web.head(p + "/uploads/{digest}", self.has_upload),
                web.post(p + "/sources", self.make_source),
                web.get(p + "/sources", self.list_sources),
                web.get(p + "/sources/{source}", self.source),
                web.post(p + "/deployments", self.make_deployment),
                web.get(p + "/deployments", self.list_deployments),
                web.get(d, self.deployment),
                web.post(d + "/versions", self.make_version),
                web.post(d + "/versions/review", self.review),
                web.get(d + "/versions", self.list_versions),
                web.get(d + "/versions/{version}", self.version),
                web.post(d + "/versions/{version}/cancel", self.cancel),
                web.get(d + "/versions/{version}/logs", self.build_log),
                web.get(d + "/aliases", self.list_aliases),
                web.get(d + "/aliases/{alias}", self.alias),
                web.put(d + "/aliases/{alias}", self.set_alias),
                web.post(d + "/aliases/{alias}/rollback", self.rollback),
                web.post(p + "/endpoints", self.make_endpoint),
                web.post(p + "/endpoints/review", self.review),
                web.get(p + "/jobs", self.list_jobs),
                web.get("/v1/jobs", self.list_jobs),
                web.get("/v1/jobs/{job}", self.job),
                web.post("/v1/jobs/{job}/{verb:stop|restart|terminate}", self.move),
                web.post("/v1/jobs/{job}/scale", self.scale),
                web.get("/v1/jobs/{job}/connection", self.connection),
                web.get("/v1/jobs/{job}/why", self.why),
                web.get("/v1/jobs/{job}/{what:sbom|provenance}", self.artifact),
                web.get("/v1/jobs/{job}/logs", self.job_log),
                web.get("/v1/jobs/{job}/build/logs", self.job_build_log),
                web.get("/v1/gpus", self.gpus),
                web.get("/v1/targets", self.targets),
                web.get("/v1/events", self.list_events),
            ]
        )
        app.add_routes(self.models.routes(p))
        async with TestServer(app) as server:
            self.url = str(server.make_url("")).rstrip("/")
            yield self

    @web.middleware
    async def _middle(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append(request)
        if self.faults and (fault := self.faults.pop(0)) is not None:
            await request.read()
            return fault
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return refuse(401, "unauthorized", "A valid token is needed", "the token is unknown")
        if request.match_info.get("owner", "admin") != "admin":
            return refuse(404, "not-found", "No such project")
        if request.match_info.get("project", "default") not in self.projects:
            return refuse(404, "not-found", "No such project")
        if request.method == "POST" and "Idempotency-Key" not in request.headers:
            return refuse(422, "invalid", "an Idempotency-Key is missing")
        try:
            answered: web.StreamResponse = await handler(request)
        except KeyError:
            return refuse(404, "not-found", "No such thing")
        return answered

    def _whole(self, request: web.Request, items: list[Thing]) -> web.Response:
        if request.query:
            return refuse(422, "invalid", "The request is not valid", "it takes no query")
        return answer({"items": items})

    async def whoami(self, _: web.Request) -> web.Response:
        return answer({"owner": "admin", "role": "admin", "router_url": self.router})

    async def owners(self, request: web.Request) -> web.Response:
        return page(request, [{"name": "admin", "created_at": now()}])

    async def make_token(self, request: web.Request) -> web.Response:
        made = {"id": f"t{len(self.tokens)}", "owner": "admin", "created_at": now()}
        made |= await request.json()
        self.tokens[made["id"]] = made
        return answer(made | {"token": "slp_" + "b" * 43}, 201)

    async def list_tokens(self, request: web.Request) -> web.Response:
        return page(request, list(self.tokens.values()))

    async def revoke(self, request: web.Request) -> web.Response:
        self.tokens[request.match_info["id"]]["revoked_at"] = now()
        return web.Response(status=204)

    async def make_project(self, request: web.Request) -> web.Response:
        name = (await request.json())["name"]
        if name in self.projects:
            return refuse(409, "name-taken", "The owner has a project of that name")
        self.projects.append(name)
        return answer({"owner": "admin", "name": name, "created_at": now()}, 201)

    async def list_projects(self, request: web.Request) -> web.Response:
        made = [{"owner": "admin", "name": name, "created_at": now()} for name in self.projects]
        return page(request, made)

    async def upload(self, request: web.Request) -> web.Response:
        content = await request.read()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.uploads[digest] = content
        return answer({"digest": digest, "size": len(content)}, 201)

    async def has_upload(self, request: web.Request) -> web.Response:
        return web.Response(status=200 if request.match_info["digest"] in self.uploads else 404)

    async def make_source(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if not asked["url"].startswith("https://"):
            wrong = {"field": "url", "message": "only https:// is allowed"}
            return refuse(422, "invalid", "The request is not valid", "", wrong)
        made = {
            "id": f"s{len(self.sources)}",
            "owner": "admin",
            "project": "default",
            "url": asked["url"],
            "ref": asked.get("ref", "HEAD"),
            "path": asked.get("path", ""),
            "state": "fetching",
            "created_at": now(),
            "changed_at": now(),
        }
        self.sources[made["id"]] = made
        return answer(made, 202)

    async def list_sources(self, request: web.Request) -> web.Response:
        return page(request, list(self.sources.values())[::-1])

    async def source(self, request: web.Request) -> web.Response:
        return answer(self.sources[request.match_info["source"]])

    async def make_deployment(self, request: web.Request) -> web.Response:
        asked = await request.json()
        name = asked["name"]
        if name in self.deployments:
            return refuse(409, "name-taken", "The project has a deployment of that name")
        made = {
            "id": f"d{len(self.deployments)}",
            "owner": "admin",
            "project": "default",
            "name": name,
            "target": asked.get("target") or "process",
            "created_at": now(),
            "aliases": {},
        }
        self.deployments[name] = made
        return answer(made, 201)

    async def list_deployments(self, request: web.Request) -> web.Response:
        return page(request, list(self.deployments.values()))

    async def deployment(self, request: web.Request) -> web.Response:
        return answer(self.deployments[request.match_info["deployment"]])

    async def make_version(self, request: web.Request) -> web.Response:
        asked, deployment = await request.json(), request.match_info["deployment"]
        if asked["source"] not in self.uploads:
            wrong = {"field": "source", "message": "was not uploaded to this project"}
            return refuse(422, "invalid", "The request is not valid", "", wrong)
        name = asked.get("name") or f"20261121.{len(self.versions)}"
        if (deployment, name) in self.versions:
            return refuse(409, "name-taken", "The deployment has a version of that name")
        number = len(self.versions)
        endpoint = {
            "name": "predict",
            "format": "valohai",
            "port": 8000,
            "readiness": "listening",
            "entry": {"kind": "wsgi", "app": "predict"},
        }
        job = self._job(f"{deployment}/{name}/predict", f"v{number}", deployment, name)
        job["target"] = self.deployments[deployment]["target"]
        replicas = asked.get("replicas") or {}
        job["copies"] = replicas.get("predict", replicas.get("*", 1))
        for scaled in (asked.get("autoscaling") or {}).values():
            job["copies"] = scaled["min"]
        self.versions[deployment, name] = made = {
            "id": f"v{number}",
            "name": name,
            "state": "building",
            "reason": "",
            "created_at": now(),
            "changed_at": now(),
            "owner": "admin",
            "project": "default",
            "deployment": deployment,
            "source": asked["source"],
            "endpoints": [endpoint],
            "serving": asked.get("serving"),
            "images": {},
            "notes": [],
            "urls": {"predict": f"{self.router}/admin/default/{deployment}/{name}/predict"},
            "jobs": {"predict": job["id"]},
        }
        return answer(made, 201)

    async def list_versions(self, request: web.Request) -> web.Response:
        asked = self.deployments[request.match_info["deployment"]]["name"]
        mine = [v for (d, _), v in self.versions.items() if d == asked]
        return page(request, mine[::-1])

    def _called(self, request: web.Request) -> Thing:
        deployment, name = request.match_info["deployment"], request.match_info["version"]
        alias = self.aliases.get((deployment, name))
        return self.versions[deployment, alias["version"] if alias else name]

    async def version(self, request: web.Request) -> web.Response:
        return answer(self._called(request))

    async def cancel(self, request: web.Request) -> web.Response:
        found = self._called(request)
        if found["state"] == "ready":
            return refuse(409, "version-state", "The version is ready", "stop its jobs")
        if found["state"] == "building":
            await self.fail(found["id"], "cancelled")
        return answer(found)

    async def build_log(self, request: web.Request) -> web.StreamResponse:
        found = self._called(request)
        return await self.log(request, found["id"], lambda: found["state"] != "building")

    async def job_log(self, request: web.Request) -> web.StreamResponse:
        job = self.jobs[request.match_info["job"]]
        return await self.log(request, job["id"], lambda: job["state"] not in (*LIVE, "stopping"))

    async def job_build_log(self, request: web.Request) -> web.StreamResponse:
        job = self.jobs[request.match_info["job"]]
        return await self.log(request, job["version"], lambda: job["state"] != "building")

    async def log(self, request: web.Request, subject: str, over: Any) -> web.StreamResponse:
        lines = self.logs.get(subject, [])
        if request.query.get("follow") != "true":
            return page(request, lines[::-1])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.force_close()
        await response.prepare(request)
        at = int(request.headers.get("Last-Event-ID", "1.0").split(".")[1])
        while True:
            ended, lines = over(), self.logs.get(subject, [])
            for line in lines[at:]:
                at = line["line"]
                data = msgspec.json.encode(line).decode()
                await response.write(f"id: 1.{at}\nevent: line\ndata: {data}\n\n".encode())
                if self.cut:
                    self.cut -= 1
                    assert request.transport is not None
                    request.transport.abort()
                    return response
            if ended:
                await response.write(b'event: end\ndata: "over"\n\n')
                return response
            await asyncio.sleep(0.01)

    async def list_aliases(self, request: web.Request) -> web.Response:
        mine = [a for (d, _), a in self.aliases.items() if d == request.match_info["deployment"]]
        return self._whole(request, mine)

    async def alias(self, request: web.Request) -> web.Response:
        return answer(self.aliases[request.match_info["deployment"], request.match_info["alias"]])

    async def set_alias(self, request: web.Request) -> web.Response:
        deployment, alias = request.match_info["deployment"], request.match_info["alias"]
        asked = await request.json()
        version = self.versions.get((deployment, asked["version"]))
        if version is None:
            wrong = {"field": "version", "message": "is not a version of this deployment"}
            return refuse(422, "invalid", "The request is not valid", "", wrong)
        idle = [j for j in version["jobs"].values() if self.jobs[j]["state"] != "running"]
        if idle and not asked["force"]:
            return refuse(409, "not-running", "The version does not run", "wait, or send `force`")
        return answer(self._move(deployment, alias, asked["version"]))

    def _move(self, deployment: str, alias: str, version: str) -> Thing:
        before = self.aliases.get((deployment, alias), {"history": [], "revision": 0})
        revision = before["revision"] + 1
        move = {"revision": revision, "version": version, "moved_by": "t0", "moved_at": now()}
        self.aliases[deployment, alias] = made = {
            "name": alias,
            "version": version,
            "revision": revision,
            "changed_at": now(),
            "urls": {"predict": f"{self.router}/admin/default/{deployment}/{alias}/predict"},
            "history": [move, *before["history"]],
        }
        return made

    async def rollback(self, request: web.Request) -> web.Response:
        deployment, alias = request.match_info["deployment"], request.match_info["alias"]
        found = self.aliases[deployment, alias]
        others = [m for m in found["history"] if m["version"] != found["version"]]
        if not others:
            return refuse(409, "no-version-before", "The alias never pointed elsewhere")
        return answer(self._move(deployment, alias, others[0]["version"]))

    def _job(self, name: str, version: str, deployment: str | None, called: str) -> Thing:
        job = f"j{hashlib.sha256(name.encode()).hexdigest()[:6]}{len(self.jobs)}"
        self.jobs[job] = {
            "id": job,
            "owner": "admin",
            "project": "default",
            "name": name,
            "kind": "endpoint",
            "state": "building",
            "status": None,
            "reason": "",
            "attempt": 1,
            "restarts": 0,
            "version": version,
            "version_name": called,
            "deployment": deployment,
            "endpoint": name.rpartition("/")[2],
            "target": "process",
            "copies": 1,
            "copies_running": 0,
            "gpu_types": [],
            "gpu_count": 0,
            "gpus": [],
            "disk_size": None,
            "price_per_hour": 0.0,
            "url": None,
            "created_at": now(),
            "changed_at": now(),
            "queued_at": None,
            "routes": [],
        }
        return self.jobs[job]

    async def make_endpoint(self, request: web.Request) -> web.Response:
        asked = await request.json()
        entry = asked.get("endpoint", {})
        if not entry.get("routes") and "start_command" not in entry:
            wrong = {"field": "endpoint.routes", "message": "at least one route is needed"}
            return refuse(422, "invalid", "The request is not valid", "", wrong)
        target, copies = asked.get("target", "process"), asked.get("replicas", 1)
        copies = asked.get("autoscaling", {}).get("min", copies)
        if copies > 1 and target == "process":
            return refuse(422, "invalid", "The request is not valid", "", one_copy("replicas"))
        made = self._job(asked["name"], f"v{len(self.versions) + len(self.jobs)}e", None, "x")
        made["target"], made["copies"] = target, copies
        made["routes"] = entry.get("routes", [])
        made["status"] = "waiting for data/model download"
        made["disk_size"] = asked["resources"].get("disk_size", 10)
        made["gpu_types"] = [t for t in asked["resources"]["gpu_types"] if t != "cpu"]
        made["gpu_count"] = len(made["gpu_types"]) and asked["resources"].get("gpu_count", 1)
        return answer(made, 201)

    async def review(self, request: web.Request) -> web.Response:
        asked = await request.json()
        bad = "gpu_count" in asked.get("resources", {}) and asked["resources"]["gpu_count"] > 4
        errors = [{"field": "resources.gpu_count", "message": "allowed: 1 to 4"}] if bad else []
        told = {"ok": not bad, "errors": errors, "would_queue": False, "price_per_hour": 0.0}
        return answer(told | {"message": "refused" if bad else "This job will start"})

    async def list_jobs(self, request: web.Request) -> web.Response:
        found = [
            job
            for job in reversed(self.jobs.values())
            if job["state"] == request.query.get("state", job["state"])
            and job["name"] == request.query.get("name", job["name"])
            and job["id"].startswith(request.query.get("id", ""))
        ]
        return page(request, found)

    async def job(self, request: web.Request) -> web.Response:
        return answer(self.jobs[request.match_info["job"]])

    async def move(self, request: web.Request) -> web.Response:
        job, verb = self.jobs[request.match_info["job"]], request.match_info["verb"]
        state = job["state"]
        allowed = {
            "stop": (*LIVE, "stopping", "stopped"),
            "restart": ("stopped",),
            "terminate": ("stopped", "finished", "failed", "terminated"),
        }
        if state not in allowed[verb]:
            return refuse(409, "job-state", f"The job is {state}", "stop it first")
        to = {"stop": "stopping", "restart": "queued", "terminate": "terminated"}[verb]
        job["state"] = "stopped" if state == "stopped" and verb == "stop" else to
        job["url"] = None
        return answer(job)

    async def scale(self, request: web.Request) -> web.Response:
        job, copies = self.jobs[request.match_info["job"]], (await request.json())["copies"]
        if job["state"] not in LIVE:
            return refuse(409, "job-state", f"The job is {job['state']}", "scale it later")
        if copies > 1 and job["target"] == "process":
            return refuse(422, "invalid", "The request is not valid", "", one_copy("copies"))
        job["copies"] = copies
        return answer(job)

    async def targets(self, request: web.Request) -> web.Response:
        gpu = {"type": "rtx3090", "total": 4, "free": 1, "price_per_hour": 0.5, "together": 2}
        far = {"name": "far", "kind": "kubernetes", "gpus": [gpu]}
        return self._whole(request, [{"name": "process", "kind": "process", "gpus": []}, far])

    async def connection(self, request: web.Request) -> web.Response:
        job = self.jobs[request.match_info["job"]]
        if job["url"] is None:
            return refuse(409, "not-running", "The job does not run", f"it is {job['state']}")
        return answer(
            {"url": job["url"], "example": f"curl {job['url']}/", "routes": job["routes"]}
        )

    async def why(self, request: web.Request) -> web.Response:
        job = self.jobs[request.match_info["job"]]
        said = job["reason"] or f"it is {job['state']}"
        lines = self.logs.get(job["id"], []) if job["state"] in ("failed", "starting") else []
        told = {"job": job["id"], "name": job["name"], "state": job["state"], "cause": "failed"}
        more = {"since": job["changed_at"], "headline": said, "lines": lines}
        return answer(told | more)

    async def artifact(self, request: web.Request) -> web.Response:
        job, what = request.match_info["job"], request.match_info["what"]
        for (of, kind), document in self.said.items():
            if of == job and ("cyclonedx" in kind) == (what == "sbom"):
                return web.Response(body=document, content_type="application/json")
        state = self.jobs[job]["state"]
        return refuse(409, "not-built", "The job has no image yet", f"the job is {state}")

    async def gpus(self, request: web.Request) -> web.Response:
        gpu = {"type": "rtx3090", "total": 4, "free": 1, "price_per_hour": 0.5}
        return self._whole(request, [gpu])

    async def list_events(self, request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Last-Event-ID") or request.query.get("after") or "0"
        start = len(self.events) if given == "newest" else int(given)
        if "text/event-stream" not in request.headers.get("Accept", ""):
            end = min(len(self.events), start + int(request.query.get("limit") or 100))
            return answer({"items": self.events[start:end], "next": str(end)})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.force_close()
        await response.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            for event in self.events[start:]:
                start += 1
                data = msgspec.json.encode(event).decode()
                await response.write(
                    f"id: {start}\nevent: {event['type']}\ndata: {data}\n\n".encode()
                )
                if self.cut:
                    self.cut -= 1
                    request.transport.abort()
                    return response
            await asyncio.sleep(0.01)
        return response

    def happened(self, kind: str, subject: str) -> None:
        self.events.append(
            {
                "id": str(len(self.events)),
                "source": "/admin/default",
                "type": f"slipway.{kind}.v1",
                "subject": subject,
                "time": now(),
                "data": {"job": subject, "attempt": 1},
                "specversion": "1.0",
            }
        )


def one_copy(field: str) -> dict[str, str]:
    return {"field": field, "message": "must be 1: the target process runs one copy of a job"}
