"""What the driver tells the supervisor about a replica: `spec.json` in the replica's folder."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple


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


def read(folder: str) -> Spec:
    with open(os.path.join(folder, "spec.json")) as content:
        return Spec(**json.load(content))
