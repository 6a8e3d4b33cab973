"""What a driver is told to run for a job: its endpoint, configured, and its environment, GPUs and
files. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.scheduler.driver import Replica, Workload
from services.scheduler.drivers.outputs import FOLDER
from shared.application import Configuration, Quantities
from shared.database.jobs import Job
from shared.database.versions import Version
from shared.endpoint import Endpoint, Model, Range, Resources, Run
from shared.image import CODE, MODEL

METADATA: Final = "valohai-metadata.json"

PROMISED: Final = ("PATH", "HOME", "PORT", "PYTHONPATH", "PYTHONUSERBASE")
"""Variables by which an image finds its own parts: they stay as it has them."""


def workload(
    job: Job, version: Version, devices: tuple[str, ...], router_url: str
) -> Workload | None:
    """None when the version has no such endpoint or no image of it."""
    found = (e for e in version.definition.endpoints if e.name == job.endpoint)
    endpoint, image = next(found, None), version.images.get(job.endpoint)
    if endpoint is None or image is None:
        return None
    endpoint = configured(endpoint, job.configuration)
    if job.run is not None:  # there is one of it, whatever is asked of its endpoint
        endpoint = msgspec.structs.replace(endpoint, autoscaling=None, replicas=1)
    return Workload(
        replica=Replica(job.id, job.attempt),
        image=image,
        endpoint=endpoint,
        environment=environment(job, version, endpoint),
        devices=devices,
        files=files(job, version, endpoint, router_url),
        repository=version.repository,
        project=f"{job.owner}/{job.project}",
        copies=job.granted,
        run=job.run,
    )


def prefix(version: Version, endpoint: str) -> str:
    """The path of an endpoint under its version's own name: no slash at its end."""
    return f"/{version.owner}/{version.project}/{version.deployment_name}/{version.name}/{endpoint}"


def environment(job: Job, version: Version, endpoint: Endpoint) -> dict[str, str]:
    """What the platform adds, and under it what its owner gives at the start.

    What its owner set before is in the image, below what that promises.
    """
    ours = {"SLIPWAY_JOB": job.id, "SLIPWAY_ATTEMPT": str(job.attempt)}
    if endpoint.format == "valohai":
        ours["VH_DEFAULT_PREFIX"] = prefix(version, endpoint.name)
        ours["VALOHAI_PORT"] = str(endpoint.port)
    if isinstance(endpoint.entry, Model):
        ours |= {"APP_PORT": str(endpoint.port), "MODEL_DIR": MODEL}
    return endpoint.variables | running(job.run) | ours


def running(run: Run | None) -> dict[str, str]:
    """What is said to a batch job alone: what its owner said, and where its outputs go."""
    return {} if run is None else run.variables | {"SLIPWAY_OUTPUTS": FOLDER}


def configured(endpoint: Endpoint, said: Configuration) -> Endpoint:
    """An endpoint with what its servable's configuration says on top. How many copies there are is
    the job's to say, unless its target scales it, and GPUs are given to it as a whole."""
    scaling = said.autoscaling or endpoint.autoscaling
    return msgspec.structs.replace(
        endpoint,
        resources=_resources(endpoint.resources, said.requests, said.limits),
        autoscaling=None if scaling is None or scaling.by_demand else scaling,
        affinity=said.affinity or endpoint.affinity,
        node_labels=endpoint.node_labels | said.node_labels,
        tolerations=(*endpoint.tolerations, *said.tolerations),
        variables=endpoint.variables | _given(said.variables),
    )


def _given(variables: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in variables.items() if name not in PROMISED}


def _resources(under: Resources, requests: Quantities, limits: Quantities) -> Resources:
    return msgspec.structs.replace(
        under,
        cpu=_range(under.cpu, requests.cpu, limits.cpu),
        memory=_range(under.memory, requests.memory, limits.memory),
    )


def _range(under: Range, least: float | None, most: float | None) -> Range:
    return Range(min=under.min if least is None else least, max=under.max if most is None else most)


def files(job: Job, version: Version, endpoint: Endpoint, router_url: str) -> dict[str, bytes]:
    """The metadata document, at both of the places where Valohai's users look for it."""
    if endpoint.format != "valohai":
        return {}
    document = msgspec.json.format(msgspec.json.encode(_metadata(version, endpoint, router_url)))
    return {f"{folder}/{METADATA}": document for folder in (CODE["valohai"], "/valohai")}


def _metadata(version: Version, endpoint: Endpoint, router_url: str) -> dict[str, Any]:
    names = [each.name for each in version.definition.endpoints]
    urls = {name: router_url.rstrip("/") + prefix(version, name) for name in names}
    project = {"name": version.project, "owner": {"username": version.owner}}
    named = {"id": version.id, "name": version.name}
    return {
        "meta": {"ctime": version.created_at},
        "project": project,
        "deployment": {
            "id": version.deployment,
            "name": version.deployment_name,
            "enabled": True,
            "owner": {"username": version.owner},
            "project": project,
            "url": f"{router_url.rstrip('/')}/{version.owner}/{version.project}"
            f"/{version.deployment_name}",
            "versions": [named],
        },
        "version": {
            **named,
            "ctime": version.created_at,
            "commit": {"identifier": "~" + version.definition.source.removeprefix("sha256:")},
            "enabled": True,
            "endpoints": names,
            "endpoint_urls": urls,
            "environment_variables": endpoint.environment,
        },
        "endpoint": {
            "name": endpoint.name,
            "port": endpoint.port,
            "image": endpoint.image,
            "is_ready_to_deploy": True,
            "node_selector": endpoint.node_selector,
            "cpu_request": 0.1
            if endpoint.resources.cpu.min is None
            else endpoint.resources.cpu.min,
            "memory_request": endpoint.resources.memory.min,
            "memory_limit": endpoint.resources.memory.max,
            "files": _files(version, endpoint),
        },
    }


def _files(version: Version, endpoint: Endpoint) -> list[dict[str, Any]]:
    given = version.definition.files.get(endpoint.name, {})
    return [
        {
            "name": file.name,
            "path": file.path,
            "datum": {"name": file.name, "sha256": given[file.name].removeprefix("sha256:")},
        }
        for file in endpoint.files
        if file.name in given
    ]
