"""The program that is first in every container: init.sh, told when to start a server again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.scheduler.drivers.process.supervisor import backoff

PATH: Final = "/slipway/init"  # inside
SHELL: Final = "/bin/sh"

_PROGRAM: Final = Path(__file__).with_name("init.sh").read_text()
_TIMES: Final = {
    "_hopeless": backoff.CAN_NEVER_START,
    "_healthy": round(backoff.HEALTHY * 100),
    "_hastily": round(backoff.HASTY * 100),
    "_free": backoff.FREE,
    "_first": round(backoff.FIRST * 100),
    "_most": round(backoff.MOST * 100),
}


def program(environment: Mapping[str, str], *, once: bool = False) -> bytes:
    """Its text. The server has `environment`, which the engine must not see, beside its own.
    `once`: it is a command that is run to its end."""
    told = [f"{name}={value}" for name, value in _TIMES.items()]
    told.append(f"_once={'1' if once else ''}")
    told += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    return "\n".join([f"#!{SHELL}", *told, _PROGRAM]).encode()
