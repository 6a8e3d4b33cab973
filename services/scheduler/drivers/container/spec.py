"""From a workload and its image to what the engine is told: decisions without I/O."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from services.scheduler.driver import Replica, Workload
from services.scheduler.drivers import command
from services.scheduler.drivers.container import init
from services.scheduler.drivers.container.engine import ImageConfig, Kind
from services.scheduler.drivers.limits import MB, PROCESSES, disk_asked
from services.scheduler.drivers.outputs import FOLDER
from shared.endpoint import Readiness, Resources
from shared.ids import JobId
from shared.image import HOME, PYTHON

PLATFORM: Final = "dev.slipway.platform"
REPLICA: Final = "dev.slipway.replica"
PORT: Final = "dev.slipway.port"
BRIDGES: Final = "slw-"
"""What the names of our networks' bridges begin with."""
READINESS: Final = "dev.slipway.readiness"
MARK: Final = "dev.slipway.mark"
RUN: Final = "dev.slipway.run"
DEVICES: Final = "dev.slipway.devices"

SYSTEM: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATH: Final = f"{PYTHON}/bin:{HOME}/.local/bin:{SYSTEM}:/slipway/bin"

LOG: Final = 8  # MB of a container's log that the engine keeps, at most twice
LOGGERS: Final[Mapping[Kind, str]] = {"docker": "json-file", "podman": "k8s-file"}

_REPLICA: Final = re.compile(r"([A-Za-z0-9]{1,64})-([0-9]{1,9})")

FOR_THE_ENGINE: Final = ("LD_", "NVIDIA_")
"""Variables that programs which start containers would obey, outside of the container."""


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """All that must be known of a replica by whoever finds its container."""

    replica: Replica
    port: int
    readiness: Readiness
    mark: str
    run: bool = False  # it runs to an end, and has no address
    devices: tuple[str, ...] = ()  # of the GPUs that it was given


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a container goes."""

    kind: Kind
    network: str
    published: bool  # its port is reached at this machine's loopback, not at its own address
    gives_gpus: bool = True  # else they are only counted, and it is told which it would have


def name(platform: str, replica: Replica) -> str:
    return f"slipway-{platform}-{replica}"


def replica_of(text: str) -> Replica | None:
    """The inverse of `str`; None for what can be no replica's name, nor its folder's."""
    found = _REPLICA.fullmatch(text)
    return Replica(JobId(found[1]), int(found[2])) if found else None


def labels(platform: str, workload: Workload, mark: str) -> dict[str, str]:
    return {
        PLATFORM: platform,
        REPLICA: str(workload.replica),
        PORT: str(workload.endpoint.port),
        READINESS: command.readiness(workload),
        MARK: mark,
        RUN: str(workload.run is not None).lower(),
        DEVICES: ",".join(workload.devices),
    }


def read_labels(found: Mapping[str, str]) -> Labels | None:
    """None when they are not ours."""
    try:
        return msgspec.convert(
            {
                "replica": replica_of(found[REPLICA]),
                "port": found[PORT],
                "readiness": found[READINESS],
                "mark": found[MARK],
                "run": found.get(RUN, "false"),
                "devices": tuple(filter(None, found.get(DEVICES, "").split(","))),
            },
            Labels,
            strict=False,
        )
    except (KeyError, msgspec.ValidationError):
        return None


def environment(image: ImageConfig, workload: Workload) -> dict[str, str]:
    """The image's, the workload's on top, and what the target promises."""
    given = dict(entry.partition("=")[::2] for entry in image.env or ()) | workload.environment
    devices = visible(workload.devices)
    return {
        "LANG": "C.UTF-8",
        "HOME": HOME,
        "PATH": PATH,
        "PORT": str(workload.endpoint.port),
        "PYTHONUNBUFFERED": "1",
        "PYTHONUSERBASE": PYTHON,
        **{key: value for key, value in given.items() if not key.startswith("NVIDIA_")},
        "CUDA_VISIBLE_DEVICES": devices,
    }


def visible(devices: Sequence[str]) -> str:
    """What they are called inside, where those that are known by a number are numbered anew.

    >>> visible(["GPU-7", "GPU-9"]), visible(["2", "3"])
    ('GPU-7,GPU-9', '0,1')
    """
    named = not any(device.isdecimal() for device in devices)
    return ",".join(devices if named else map(str, range(len(devices))))


def inside(environment: Mapping[str, str]) -> dict[str, str]:
    """The part that only the server may know."""
    return {key: value for key, value in environment.items() if key.startswith(FOR_THE_ENGINE)}


def outside(environment: Mapping[str, str], image: ImageConfig) -> dict[str, str]:
    """The part that the engine is told. What an image sets can't be taken away, only emptied."""
    told = {k: v for k, v in environment.items() if not k.startswith(FOR_THE_ENGINE)}
    names = (entry.partition("=")[0] for entry in image.env or ())
    return told | {key: "" for key in names if key.startswith(FOR_THE_ENGINE)}


def body(
    image: ImageConfig, workload: Workload, reference: str, labels: Mapping[str, str], place: Place
) -> dict[str, Any]:
    """Of the request that creates the container."""
    env = outside(environment(image, workload), image)
    devices = workload.devices if place.gives_gpus else ()
    env["NVIDIA_VISIBLE_DEVICES"] = ",".join(devices) or "void"
    port = f"{workload.endpoint.port}/tcp"
    publish = {port: [{"HostIp": "127.0.0.1", "HostPort": ""}]} if place.published else {}
    return {
        "Image": reference,
        "Entrypoint": [init.SHELL, init.PATH, labels[MARK]],
        "Cmd": command.script(workload.run)
        if workload.run is not None
        else [*(image.entrypoint or ()), *(image.cmd or ())],
        "Env": [f"{key}={value}" for key, value in env.items()],
        "WorkingDir": image.working_dir or "/",
        "User": image.user or "0:0",
        "Labels": dict(labels),
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["NONE"]},
        "ExposedPorts": {key: {} for key in publish},
        "HostConfig": {
            "NetworkMode": place.network,
            "PortBindings": publish,
            "RestartPolicy": {"Name": "no"},  # see docs/adr/0006
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
            "PidsLimit": PROCESSES,
            "LogConfig": {"Type": LOGGERS[place.kind], "Config": log(place.kind)},
            "DeviceRequests": device_requests(devices, place.kind),
            **limits(workload.endpoint.resources),
            **disk(workload),
        },
    }


def log(kind: Kind) -> dict[str, str]:
    return {"max-size": f"{LOG}m"} | ({"max-file": "2"} if kind == "docker" else {})


def limits(resources: Resources) -> dict[str, Any]:
    """`min` is what it gets when the machine is busy, `max` what it never gets more than."""
    found: dict[str, Any] = {}
    if resources.cpu.min is not None:
        found["CpuShares"] = max(2, round(resources.cpu.min * 1024))
    if resources.cpu.max is not None:
        found["NanoCpus"] = round(resources.cpu.max * 1e9)
    if resources.memory.min is not None:
        found["MemoryReservation"] = round(resources.memory.min * MB)
    if resources.memory.max is not None:
        found["Memory"] = found["MemorySwap"] = round(resources.memory.max * MB)
        found["MemoryReservation"] = min(
            found.get("MemoryReservation", found["Memory"]), found["Memory"]
        )
    return found


def disk(workload: Workload) -> dict[str, Any]:
    """What it may write, where it has a limit; not every storage can hold to one."""
    most = disk_asked(workload)
    return {"StorageOpt": {"size": f"{round(most)}m"}} if most is not None else {}


def without_disk(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same without a limit of its disk."""
    host = {key: value for key, value in body["HostConfig"].items() if key != "StorageOpt"}
    return {**body, "HostConfig": host}


def device_requests(devices: Sequence[str], kind: Kind) -> list[dict[str, Any]]:
    """Docker asks NVIDIA's runtime for GPUs; Podman knows them by their names in CDI."""
    if not devices:
        return []
    if kind == "podman":
        return [{"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={each}" for each in devices]}]
    return [{"Driver": "nvidia", "DeviceIDs": list(devices), "Capabilities": [["gpu"]]}]


def network(platform: str, replica: Replica, kind: Kind) -> dict[str, Any]:
    """Of the request that creates the network of a replica, in which nobody else can reach it.

    Docker has room for about thirty networks, so there all replicas of a platform share one in
    which containers do not hear one another. Podman has no such networks, and room for many.
    """
    shared = kind == "docker"
    own = {PLATFORM: platform} | ({} if shared else {REPLICA: str(replica)})
    called = f"slipway-{platform}" if shared else name(platform, replica)
    walls = {"com.docker.network.bridge.enable_icc": "false"} if shared else {"isolate": "true"}
    return {
        "Name": called,
        "Driver": "bridge",
        "CheckDuplicate": True,
        "Options": {**walls, "com.docker.network.bridge.name": bridge(called)},
        "Labels": own,
    }


def bridge(network: str) -> str:
    """Its interface on the machine: engines that choose one by themselves may choose the same.

    >>> bridge("slipway-h0-j1-1"), len(bridge("slipway-h0-j1-1"))
    ('slw-0a91dd402a3', 15)
    """
    return f"{BRIDGES}{hashlib.sha256(network.encode()).hexdigest()[:11]}"


def files(image: ImageConfig, workload: Workload) -> dict[str, bytes]:
    """What is written into the container before it starts."""
    told = inside(environment(image, workload))
    return workload.files | {init.PATH: init.program(told, once=workload.run is not None)}


def folders(workload: Workload) -> Sequence[str]:
    """What is made in it before it starts, for anybody in there to write into."""
    return () if workload.run is None else (FOLDER,)
