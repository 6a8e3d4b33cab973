"""For which Python and platform packages are installed into a base image, in uv's words."""

from __future__ import annotations

import re
from typing import Final

from services.builder.base.look import Look
from services.builder.recipe import Host
from shared.errors import Invalid

MACHINES: Final = {"amd64": "x86_64", "arm64": "aarch64"}  # OCI's name -> that of wheels
MANYLINUX: Final = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)  # glibc 2.x that uv knows
MUSL: Final = (1, 2)  # the oldest that has wheels
OLDEST: Final = (3, 8)  # Python that what starts servers runs on

KNOWN: Final = re.compile(r"(?:x86_64|aarch64)-(?:manylinux_2_\d\d|unknown-linux-musl)")


def host_of(look: Look, architecture: str) -> Host:
    """The base image as something to install for; `check` says whether that can be done."""
    python = look.python
    return Host(
        python=python.version if python else "",
        platform=platform(look.libc, architecture),
        architecture=architecture,
        executable=python.executable if python else "",
        venv=python.venv if python else False,
    )


def platform(libc: str, architecture: str) -> str:
    """uv's name for it: the newest that the C library can run; else one that says what it is.

    >>> platform("glibc-2.36", "amd64")
    'x86_64-manylinux_2_36'
    >>> platform("glibc-2.12", "amd64")
    'linux-amd64-glibc-2.12'
    """
    machine = MACHINES.get(architecture)
    kind, _, version = libc.partition("-")
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if machine and kind == "glibc" and numbers >= (2, MANYLINUX[0]):
        minor = max(known for known in MANYLINUX if (2, known) <= numbers)
        return f"{machine}-manylinux_2_{minor}"
    if machine and kind == "musl" and numbers >= MUSL:
        return f"{machine}-unknown-linux-musl"
    return "-".join(filter(None, ("linux", architecture, libc)))


def is_base(host: Host) -> bool:
    """Whether packages are for a base image, not for this machine's own Python."""
    return host.executable != "python"


def check(host: Host) -> None:
    """Raises Invalid when nothing can be installed for a base."""
    if not host.python:
        raise Invalid(
            "image",
            "has no Python that packages can be installed for; choose one with `python3` on PATH",
        )
    if tuple(int(part) for part in re.findall(r"\d+", host.python)[:2]) < OLDEST:
        raise Invalid("image", f"has Python {host.python}; choose one with Python 3.8 or newer")
    if not KNOWN.fullmatch(host.platform):
        raise Invalid(
            "image",
            f"is {host.platform}, for which there are no packages; choose one for amd64 or arm64 "
            "with glibc 2.17, musl 1.2 or newer",
        )


def words(host: Host) -> str:
    """For a person: `Python 3.9.2 on x86_64-manylinux_2_31`."""
    return f"Python {host.python} on {host.platform}"
