"""The pod of a replica: the server, and the doorman that lets the router in."""

from __future__ import annotations

from typing import Any, Final

from services.scheduler.driver import Workload
from services.scheduler.drivers.command import command
from services.scheduler.drivers.kubernetes.manifests import (
    doors,
    environment,
    init,
    names,
    placement,
    resources,
    secret,
    security,
    volumes,
)
from services.scheduler.drivers.kubernetes.manifests.settings import Room, Settings
from shared.image import ContainerConfig

SERVER: Final = "server"
DOORMAN: Final = "doorman"
DOOR: Final = "door"  # the name of the port that the router connects to
STATUS: Final = "status"
MARK: Final = "slipway.dev/environment"


def template(
    workload: Workload,
    image: ContainerConfig,
    settings: Settings,
    who: security.User,
    room: Room | None,
) -> dict[str, Any]:
    """Of its deployment."""
    found = environment.environment(image, workload)
    mark = environment.mark(found, workload, settings)
    return {
        "metadata": {
            "labels": names.labels(settings.platform, workload),
            "annotations": {
                **names.written(workload),
                MARK: mark,
                "kubectl.kubernetes.io/default-container": SERVER,
            },
        },
        "spec": {
            **common(workload, image, settings, who, room),
            "containers": [
                server(workload, image, settings, who, found),
                doorman(workload, settings),
            ],
        },
    }


def common(
    workload: Workload,
    image: ContainerConfig,
    settings: Settings,
    who: security.User,
    room: Room | None,
) -> dict[str, Any]:
    """All of a pod's specification but its containers."""
    mounted = volumes.volumes(workload, settings)
    pull = {"imagePullSecrets": [{"name": settings.pull_secret}]} if settings.pull_secret else {}
    return {
        "serviceAccountName": "default",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": settings.drain + settings.grace,
        "securityContext": security.pod(who, workload.endpoint.port, mounted.writable, settings),
        "volumes": mounted.volumes,
        **pull,
        **placement.placement(workload, settings, room),
    }


def server(
    workload: Workload,
    image: ContainerConfig,
    settings: Settings,
    who: security.User,
    found: environment.Environment,
) -> dict[str, Any]:
    wait = {"exec": {"command": [init.SHELL, "-c", f"sleep {settings.drain}"]}}
    return {
        "name": SERVER,
        "image": f"{workload.repository}@{workload.image}",
        "imagePullPolicy": "IfNotPresent",
        "command": [init.SHELL, init.PATH],
        "args": [as_is(each) for each in command(image, workload)],
        "env": environment.entries(found, names.name(workload.replica)),
        "resources": resources.resources(workload, settings),
        "securityContext": security.server(who),
        "terminationMessagePolicy": "FallbackToLogsOnError",  # its last word, if it has one
        "volumeMounts": volumes.volumes(workload, settings).mounts,
        **({"lifecycle": {"preStop": wait}} if settings.drain else {}),
    }


def doorman(workload: Workload, settings: Settings) -> dict[str, Any]:
    """It hears of the end when the server does not yet, and goes on until that is gone."""
    port = workload.endpoint.port
    door, status = doors.doors(port)
    told = {
        "DOORMAN_LISTEN": door,
        "DOORMAN_STATUS": status,
        "DOORMAN_PORT_SERVER": port,
        "DOORMAN_READINESS": workload.endpoint.readiness,
        "DOORMAN_GRACE": settings.drain + settings.grace,
    }
    key = {"name": names.name(workload.replica), "key": secret.DOORMAN}
    return {
        "name": DOORMAN,
        "image": settings.doorman_image,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            *({"name": name, "value": str(value)} for name, value in told.items()),
            {"name": "DOORMAN_SECRET", "valueFrom": {"secretKeyRef": key}},
        ],
        "ports": [
            {"name": DOOR, "containerPort": door, "protocol": "TCP"},
            {"name": STATUS, "containerPort": status, "protocol": "TCP"},
        ],
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": STATUS},
            "periodSeconds": 1,
            "timeoutSeconds": 3,
            "failureThreshold": 2,
        },
        "resources": resources.DOORMAN,
        "securityContext": security.doorman(),
    }


def as_is(argument: str) -> str:
    """Kubernetes puts variables for `$(NAME)` in arguments, and one dollar for two.

    >>> as_is("echo $(date) $$")
    'echo $$(date) $$$$'
    """
    return argument.replace("$", "$$")
