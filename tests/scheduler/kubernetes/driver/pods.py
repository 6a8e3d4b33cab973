"""Pods as a cluster tells of them, for tests of what is made of that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from services.scheduler.drivers.kubernetes.objects import Deployment, Node, Pod

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
BEFORE = "2026-01-01T11:00:00Z"
JUST_NOW = "2026-01-01T11:59:58Z"


def pod(
    *,
    name: str = "j1-1-abc",
    ready: bool = False,
    server: dict[str, Any] | None = None,
    others: list[dict[str, Any]] | None = None,
    ip: str = "10.1.2.3",
    metadata: dict[str, Any] | None = None,
    conditions: list[dict[str, Any]] | None = None,
    node: str = "node-1",
    **status: Any,
) -> Pod:
    limits = {"limits": {"memory": "512Mi"}}
    return msgspec.convert(
        {
            "metadata": {"name": name, "uid": f"uid-{name}", **(metadata or {})},
            "spec": {
                "nodeName": node,
                "containers": [{"name": "server", "resources": limits}, {"name": "doorman"}],
            },
            "status": {
                "phase": "Running",
                "podIP": ip,
                "conditions": [
                    {"type": "Ready", "status": "True" if ready else "False"},
                    *(conditions or ()),
                ],
                "containerStatuses": [{"name": "server", **(server or {})}, *(others or ())],
                **status,
            },
        },
        Pod,
    )


def running(at: str = BEFORE, **more: Any) -> dict[str, Any]:
    return {"state": {"running": {"startedAt": at}}, **more}


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}, **more}


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    told = {"exitCode": code, "reason": reason, "message": message, "finishedAt": JUST_NOW}
    return {"terminated": told}


def deployment(replicas: int = 1, **status: Any) -> Deployment:
    return msgspec.convert({"spec": {"replicas": replicas}, "status": status}, Deployment)


def node(name: str = "node-1", *, ready: bool = True, gpus: int = 0, **more: Any) -> Node:
    status = {
        "conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}],
        "allocatable": {"nvidia.com/gpu": str(gpus), "cpu": "8"},
    }
    metadata = {"name": name, "labels": more.pop("labels", {})}
    return msgspec.convert({"metadata": metadata, "spec": more, "status": status}, Node)
