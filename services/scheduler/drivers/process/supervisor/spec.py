"""What the driver tells the supervisor about a replica: `spec.json` in the replica's folder."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple


class Limits(NamedTuple):
    """What a replica may use up. 0 is as much as there is."""

    memory: int = 0  # bytes, of all its processes together
    disk: int = 0  # bytes that it writes
    files: int = 0  # that it makes, folders among them
    processes: int = 0  # at a time


class Spec(NamedTuple):
    argv: list[str]
    env: dict[str, str]
    cwd: str
    port: int
    readiness: str  # listening, ping, none
    isolated: bool  # in namespaces of its own
    socket: str  # where traffic comes in
    trees: list[list[Any]] = []  # noqa: RUF012 - [path, writable]: what is laid over the machine's /
    hidden: list[str] = []  # noqa: RUF012 - folders of the machine's that it must not see
    links: dict[str, str] = {}  # noqa: RUF012 - path inside -> what it points at
    once: bool = False  # it is run to its end, and never started again
    limits: Limits = Limits()


def read(folder: str) -> Spec:
    with open(os.path.join(folder, "spec.json")) as content:
        spec = Spec(**json.load(content))
    return spec._replace(limits=Limits(*spec.limits))
