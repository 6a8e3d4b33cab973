"""What the builder tells the sandbox's program, and what it is told back."""

from __future__ import annotations

import json
from typing import Literal, NamedTuple

Mode = Literal["read", "write", "copy"]
Ids = Literal["own", "range"]
Network = Literal["none", "out", "machine"]
End = Literal["exit", "seconds", "memory", "processes", "disk", "files", "stopped", "broken"]

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SETTINGS = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "containers", "debian_version"),
    *("group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "magic", "mime.types"),
    *("networks", "nsswitch.conf", "os-release", "passwd", "pki", "protocols", "services", "ssl"),
)
"""Of `/etc`: what programs need of it. The rest may tell what is nobody's business."""


HANDED = 10


class Place(NamedTuple):
    """A file or folder of the machine's, and where it is seen inside.

    `copy`: what is written there is thrown away.
    """

    source: str
    target: str
    mode: Mode = "read"


class Limits(NamedTuple):
    seconds: float = 900.0
    memory: int = 4 << 30  # bytes, of all processes together
    disk: int = 16 << 30  # bytes below the folder
    files: int = 1_000_000  # below the folder
    processes: int = 2048  # their threads count, too


class Spec(NamedTuple):
    """`ids`: `own` has the builder's user alone, who keeps no capabilities; `range` has root and
    all other users, none of whom is anybody on the machine.

    `network`: `none` but a loopback of its own; `out` through a proxy to public addresses and to
    the `gates` (`host:port`); `machine` is the machine's own network, for programs that are ours.
    """

    command: list[str]
    env: dict[str, str]
    cwd: str
    folder: str  # its own: /tmp inside is below it, and disk use is counted here
    places: list[Place]
    limits: Limits
    ids: Ids = "own"
    network: Network = "none"
    gates: list[str] = []  # noqa: RUF012 - never changed
    proxies: dict[str, str] = {}  # noqa: RUF012 - the machine's own: http_proxy and the like
    handed: list[str] = []  # noqa: RUF012 - files that the command reads as descriptors from 10 on
    counted: str = ""  # the folder whose size is limited, when it is another one
    tell: int = 2  # where the end is told


class Ended(NamedTuple):
    how: End
    code: int = 0  # of the command, as a shell says it
    why: str = ""  # when `broken`: the sandbox itself failed


def packed(value: Spec | Ended) -> bytes:
    return json.dumps(value).encode() + b"\n"


def spec(line: bytes) -> Spec:
    found = Spec(*json.loads(line))
    return found._replace(
        places=[Place(*place) for place in found.places], limits=Limits(*found.limits)
    )


def ended(line: bytes) -> Ended:
    return Ended(*json.loads(line)) if line else Ended("broken", why="the sandbox was killed")


def exceeded(how: End, limits: Limits) -> str:
    """Which limit a command came to, for a person.

    >>> exceeded("seconds", Limits(seconds=60))
    'took longer than the 60 s allowed'
    """
    said = {
        "seconds": f"took longer than the {limits.seconds:.0f} s allowed",
        "memory": f"needed more than the {limits.memory >> 20} MiB of memory allowed",
        "processes": f"had more than the {limits.processes} processes allowed",
        "disk": f"wrote more than the {limits.disk >> 20} MiB allowed",
        "files": f"made more than the {limits.files} files allowed",
    }
    return said.get(how, "was stopped")
