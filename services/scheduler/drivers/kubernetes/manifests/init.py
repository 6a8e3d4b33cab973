"""The program that is first in a server's container: init.sh, told what only the server sees."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from services.scheduler.drivers.process.supervisor import backoff

FOLDER: Final = "/slipway/k8s"  # inside, where the anchor is mounted
KEY: Final = "init"
PATH: Final = f"{FOLDER}/{KEY}"
SHELL: Final = "/bin/sh"

HIDDEN: Final = "SLIPWAY_INSIDE_"
"""Before the name of a variable that programs of the container must not obey, only its server."""

_PROGRAM: Final = Path(__file__).with_name("init.sh").read_text()
_TIMES: Final = {
    "hopeless": backoff.CAN_NEVER_START,
    "hastily": round(backoff.HASTY * 100),
    "free": backoff.FREE,
    "first": round(backoff.FIRST * 100),
    "most": round(backoff.MOST * 100),
}


def program(hidden: Iterable[str] = (), unset: Iterable[str] = (), *, once: bool = False) -> str:
    """Its text. The server gets the variables `hidden` under their own names, and none of `unset`.

    The names must be names of shell variables.
    """
    told = [f"_{name}={value}" for name, value in _TIMES.items()]
    told.append(f"_once={'1' if once else ''}")
    inside = [f'export {name}="${HIDDEN}{name}"; unset {HIDDEN}{name}' for name in hidden]
    inside += [f"unset {name}" for name in unset]
    body = "".join(f"    {line}\n" for line in [":", *inside])
    return "\n".join([f"#!{SHELL}", *told, f"inside() {{\n{body}}}", _PROGRAM])
