"""The ConfigMap that is made first and owns all else of a replica: what must be known of it by
whoever finds it, the program that keeps its server alive, and the files that are put into it."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from services.scheduler.driver import Workload
from services.scheduler.drivers.kubernetes.manifests import doors, init, meta
from services.scheduler.drivers.kubernetes.manifests.environment import Environment
from services.scheduler.drivers.kubernetes.manifests.settings import Settings
from shared.endpoint import Readiness


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What an anchor says of its replica."""

    port: int
    door: int
    readiness: Readiness


def anchor(
    workload: Workload, found: Environment, settings: Settings, *, once: bool = False
) -> dict[str, Any]:
    endpoint = workload.endpoint
    text = {
        init.KEY: init.program(found.hidden, found.unset, once=once),
        "port": str(endpoint.port),
        "door": str(doors.doors(endpoint.port).door),
        "readiness": endpoint.readiness,
    }
    binary = {}
    for key, content in zip(keys(workload).values(), workload.files.values(), strict=True):
        readable = _text(content)
        if readable is not None:
            text[key] = readable
        else:
            binary[key] = base64.b64encode(content).decode()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta.metadata(workload, settings),
        "data": text,
    } | ({"binaryData": binary} if binary else {})


def told(data: dict[str, str]) -> Told | None:
    """The inverse, of what a cluster has; None when it is none of ours."""
    try:
        return msgspec.convert(data, Told, strict=False)
    except msgspec.ValidationError:
        return None


def keys(workload: Workload) -> dict[str, str]:
    """Path of a file -> what it is called in the anchor."""
    return {path: f"file-{number}" for number, path in enumerate(workload.files)}


def size(manifest: dict[str, Any]) -> int:
    text = sum(len(value.encode()) for value in manifest["data"].values())
    return text + sum(len(value) for value in manifest.get("binaryData", {}).values())


def _text(content: bytes) -> str | None:
    try:
        return None if b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return None
